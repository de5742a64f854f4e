//! Frames of the client port: four bytes of length, then that many bytes; and, on a fresh socket only,
//! four-letter words (reference `NIOServerCnxn.readLength`, `FourLetterCommands`).

/// What stands at the start of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// A whole frame; `consumed` bytes belong to it, its length word included.
    Whole { body: &'a [u8], consumed: usize },
    /// Not all there yet: the frame needs this many bytes in all, its length word included.
    Partial { needed: usize },
    /// The length word cannot be one: the connection is to be closed.
    BadLength(i32),
}

/// Looks at the front of `buffer`. Lengths above `length_max` (`jute.maxbuffer`) or below 0 are refused.
pub fn next(buffer: &[u8], length_max: usize) -> Frame<'_> {
    let Some(word) = buffer.first_chunk::<4>() else { return Frame::Partial { needed: 4 } };
    let length = i32::from_be_bytes(*word);
    if length < 0 || length as usize > length_max {
        return Frame::BadLength(length);
    }
    let end = 4 + length as usize;
    match buffer.get(4..end) {
        Some(body) => Frame::Whole { body, consumed: end },
        None => Frame::Partial { needed: end },
    }
}

/// Appends a frame whose body `write` produces.
pub fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = i32::try_from(out.len() - start - 4).expect("a frame is shorter than 2 GiB");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

macro_rules! four_letter_words {
    ($($name:ident = $text:literal;)*) => {
        /// A command that a fresh connection may send instead of a connect request.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum FourLetterWord { $($name,)* }

        impl FourLetterWord {
            pub const ALL: &'static [FourLetterWord] = &[$(FourLetterWord::$name,)*];
            pub const fn text(self) -> &'static str { match self { $(FourLetterWord::$name => $text,)* } }
            /// The command that these first four bytes of a connection are, if they are one.
            pub fn from_bytes(bytes: &[u8; 4]) -> Option<FourLetterWord> {
                FourLetterWord::ALL.iter().copied().find(|w| w.text().as_bytes() == bytes)
            }
        }
    };
}

four_letter_words! {
    Conf = "conf"; Cons = "cons"; Crst = "crst"; Dirs = "dirs"; Dump = "dump"; Envi = "envi"; Gtmk = "gtmk";
    Hash = "hash"; Isro = "isro"; Mntr = "mntr"; Ruok = "ruok"; Srst = "srst"; Srvr = "srvr"; Stat = "stat";
    Stmk = "stmk"; Wchc = "wchc"; Wchp = "wchp"; Wchs = "wchs";
}

/// What a telnet client sends when its user interrupts it: recognised, and the connection closes without a word.
pub const TELNET_CLOSE: [u8; 4] = [0xff, 0xf4, 0xff, 0xfd];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_where_their_length_says() {
        let mut out = Vec::new();
        append(&mut out, |b| b.extend_from_slice(b"abc"));
        out.extend_from_slice(b"rest");
        assert_eq!(next(&out, 100), Frame::Whole { body: b"abc", consumed: 7 });
        assert_eq!(next(&out[..5], 100), Frame::Partial { needed: 7 });
        assert_eq!(next(&out[..3], 100), Frame::Partial { needed: 4 });
        assert_eq!(next(&out, 2), Frame::BadLength(3));
        assert_eq!(next(&(-1i32).to_be_bytes(), 2), Frame::BadLength(-1));
        assert_eq!(next(&[0; 4], 100), Frame::Whole { body: b"", consumed: 4 });
    }

    #[test]
    fn words_are_known_by_their_bytes() {
        assert_eq!(FourLetterWord::from_bytes(b"srvr"), Some(FourLetterWord::Srvr));
        assert_eq!(FourLetterWord::from_bytes(b"SRVR"), None);
    }
}
