//! Puts a large heap on huge pages once it has grown. Must not know what the memory is for.
//!
//! The kernel gives a killed process's memory back before it closes its sockets, so the other members hear of the end of a
//! leader only then: 20 ms for 200 MB in small pages, 2 ms in huge ones. Asking for huge pages in advance
//! (`MADV_HUGEPAGE`) would do as well, but every half used one counts whole: 14 MB for an empty server, a quarter more for
//! a million znodes. Here only what is mostly in use already is put together, which costs a copy of it, once, beside the work.

use std::collections::BTreeSet;
use std::fs::{File, read_to_string};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const HUGE_SIZE: &str = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
/// How often the size of the process is looked at: soon after a start the whole tree is covered.
const INTERVAL: Duration = Duration::from_millis(200);
/// A process this small is gone in a few milliseconds anyway.
const SMALL: u64 = 32 << 20;
/// Growth since the last pass that makes another one worthwhile.
const GROWTH: u64 = 8 << 20;
/// A range is put together when no more than one part in this many is not in use, which then counts as well. The allocator
/// leaves a tenth to a quarter of most ranges for later.
const UNUSED_PART: usize = 4;
/// Huge pages in one call: the kernel stops all threads that need the memory map for one page at a time only, not for a call.
const AT_ONCE: usize = 16;

/// Starts the thread that watches the size of the process; none where the kernel has no huge pages, or is told not to use
/// them. It lives as long as the process.
pub fn start() {
    let Some(mut heap) = Heap::open() else { return };
    let spawned = std::thread::Builder::new().name("huge-pages".into()).spawn(move || {
        loop {
            std::thread::sleep(INTERVAL);
            if let Err(error) = heap.look() {
                tracing::debug!("no huge pages: {error}");
                return;
            }
        }
    });
    if let Err(error) = spawned {
        tracing::debug!("no thread for huge pages: {error}");
    }
}

/// What of the process's memory is on huge pages.
struct Heap {
    statm: File,
    pagemap: File,
    page: usize,
    huge: usize,
    /// Resident bytes at the last pass.
    resident: u64,
    /// Addresses of ranges that have been put together.
    done: BTreeSet<usize>,
}

impl Heap {
    fn open() -> Option<Heap> {
        if read_to_string(ENABLED).ok()?.contains("[never]") {
            return None;
        }
        let huge: usize = read_to_string(HUGE_SIZE).ok()?.trim().parse().ok()?;
        let page = rustix::param::page_size();
        let (statm, pagemap) = (File::open("/proc/self/statm").ok()?, File::open("/proc/self/pagemap").ok()?);
        (huge > page).then_some(Heap { statm, pagemap, page, huge, resident: 0, done: BTreeSet::new() })
    }

    fn look(&mut self) -> io::Result<()> {
        let mut text = [0; 128];
        let length = self.statm.read_at(&mut text, 0)?;
        let words = std::str::from_utf8(&text[..length]).unwrap_or_default();
        let pages: u64 = words.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let resident = pages * self.page as u64;
        self.resident = self.resident.min(resident);
        if resident < SMALL || resident - self.resident < GROWTH {
            return Ok(());
        }
        self.resident = resident;
        self.pass().map(drop)
    }

    /// Puts every range together that is mostly in use. Returns how many it put together. The error is that the kernel cannot do it.
    fn pass(&mut self) -> io::Result<usize> {
        let before = self.done.len();
        let (huge, pages) = (self.huge, self.huge / self.page);
        let mut run = 0..0;
        for mapping in anonymous(&read_to_string("/proc/self/maps")?) {
            let whole = mapping.start.next_multiple_of(huge)..mapping.end / huge * huge;
            for start in whole.step_by(huge) {
                if self.pages_in_use(start)? < pages - pages / UNUSED_PART {
                    self.done.remove(&start);
                } else if !self.done.contains(&start) {
                    if run.end != start || run.len() >= AT_ONCE * huge {
                        self.put_together(std::mem::replace(&mut run, start..start))?;
                    }
                    run.end = start + huge;
                }
            }
        }
        self.put_together(run)?;
        Ok(self.done.len().saturating_sub(before))
    }

    /// Of the range of one huge page at `start`.
    fn pages_in_use(&self, start: usize) -> io::Result<usize> {
        const PRESENT: u64 = 1 << 63;
        let mut entries = vec![0; self.huge / self.page * 8];
        self.pagemap.read_exact_at(&mut entries, (start / self.page * 8) as u64)?;
        let present = |entry: &&[u8]| u64::from_ne_bytes((*entry).try_into().unwrap_or_default()) & PRESENT != 0;
        Ok(entries.chunks_exact(8).filter(present).count())
    }

    /// What failed, for want of memory or because it was just being used, is tried again when the process has grown. The error
    /// is that nothing has ever been put together, and the kernel does not know how.
    fn put_together(&mut self, run: Range<usize>) -> io::Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        match collapse(&run) {
            Ok(()) => self.done.extend(run.step_by(self.huge)),
            Err(error) if self.done.is_empty() && error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

/// Has the kernel copy the pages of a range to huge ones (`MADV_COLLAPSE`, Linux 6.1).
#[allow(unsafe_code)]
fn collapse(range: &Range<usize>) -> io::Result<()> {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: this advice changes which pages hold the bytes and never the bytes, and a range that is not mapped any more
    // is an error and nothing else; so it is sound for any address.
    match unsafe { libc::madvise(start, range.len(), libc::MADV_COLLAPSE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Private writable mappings without a file, of the text of `/proc/self/maps`.
fn anonymous(maps: &str) -> Vec<Range<usize>> {
    let hex = |text: &str| usize::from_str_radix(text, 16).ok();
    let range = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let (access, inode, name) = (words.next()?, words.nth(2)?, words.next().unwrap_or(""));
        let heap =
            access == "rw-p" && inode == "0" && (name.is_empty() || name == "[heap]" || name.starts_with("[anon"));
        heap.then_some(hex(start)?..hex(end)?)
    };
    maps.lines().filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_mappings_are_picked_out() {
        let maps = "00400000-00800000 r-xp 00000000 fe:00 4711 /usr/bin/oxkeeper\n\
                    01000000-01021000 rw-p 00000000 00:00 0 [heap]\n\
                    7f0000000000-7f0040000000 rw-p 00000000 00:00 0 \n\
                    7f0040000000-7f0040001000 ---p 00000000 00:00 0 \n\
                    7f0050000000-7f0050001000 rw-p 00000000 00:00 0 [anon: pool]\n\
                    7f0060000000-7f0060001000 rw-p 00001000 fe:00 4712 /usr/lib/libc.so.6\n\
                    7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]\n\
                    nonsense\n";
        let expected =
            [0x0100_0000..0x0102_1000, 0x7f00_0000_0000..0x7f00_4000_0000, 0x7f00_5000_0000..0x7f00_5000_1000];
        assert_eq!(anonymous(maps), expected);
    }

    #[test]
    fn memory_in_use_goes_to_huge_pages_with_its_content() {
        let Some(mut heap) = Heap::open() else {
            eprintln!("skipped: the kernel has no huge pages, or is told not to use them");
            return;
        };
        let words: Vec<u64> = (0..4u64 << 20).collect();
        let on_huge_pages = || {
            let text = read_to_string("/proc/self/smaps_rollup").unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
        };
        let before = on_huge_pages();
        match heap.pass() {
            Err(error) => eprintln!("skipped: this kernel cannot put memory together: {error}"),
            Ok(0) => eprintln!("skipped: the kernel found no free huge page"),
            Ok(ranges) => {
                let put_together = on_huge_pages().saturating_sub(before);
                assert!(put_together >= heap.huge, "{ranges} ranges, {put_together} bytes");
            }
        }
        assert!(words.iter().enumerate().all(|(index, word)| index as u64 == *word));
    }

    #[test]
    fn small_processes_and_those_that_do_not_grow_are_left_alone() {
        let Some(mut heap) = Heap::open() else { return };
        heap.resident = u64::MAX;
        heap.look().unwrap();
        let resident = heap.resident;
        assert!(resident < u64::MAX && heap.done.is_empty());
        heap.look().unwrap();
        assert!(heap.done.is_empty(), "it has hardly grown since");
    }
}
