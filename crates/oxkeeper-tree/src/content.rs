//! The bytes of one znode: its name and its data, in one allocation behind one thin pointer.
//!
//! Owns that allocation and nothing else. Must not know what a name or data mean. This is the only module of the crate
//! with raw memory: a safe pair (`Box<str>`, `Option<Box<[u8]>>`) costs 32 bytes and two allocations per znode,
//! which is a sixth of the memory of a tree with small data.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{NonNull, copy_nonoverlapping};

/// A data length that stands for null data, which clients can tell from empty data.
const NULL_DATA: u32 = u32::MAX;

/// Invariant: `ptr` is an allocation of `capacity(name_len + data length)` bytes that starts with `name_len` bytes of
/// UTF-8 followed by the data; nobody else holds it.
pub(crate) struct Content {
    ptr: NonNull<u8>,
    name_len: u32,
    data_len: u32,
}

// SAFETY: the allocation is owned by this value alone and is only written through `&mut self`.
unsafe impl Send for Content {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for Content {}

/// Allocators hand out steps of at least 8 bytes, so within one step data is overwritten where it lies.
fn capacity(used: usize) -> usize {
    used.max(1).next_multiple_of(8)
}

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, 1).expect("name and data together stay far below the address space")
}

fn allocate(capacity: usize) -> NonNull<u8> {
    let layout = layout(capacity);
    // SAFETY: the layout has a size of at least 8.
    let ptr = unsafe { alloc(layout) };
    NonNull::new(ptr).unwrap_or_else(|| handle_alloc_error(layout))
}

fn length(n: usize, what: &str) -> u32 {
    u32::try_from(n).ok().filter(|n| *n != NULL_DATA).unwrap_or_else(|| panic!("{what} of {n} bytes in one znode"))
}

impl Content {
    pub(crate) fn new(name: &str, data: Option<&[u8]>) -> Content {
        let name_len = length(name.len(), "name");
        let data_len = data.map_or(NULL_DATA, |d| length(d.len(), "data"));
        let bytes = data.unwrap_or_default();
        let ptr = allocate(capacity(name.len() + bytes.len()));
        // SAFETY: the new allocation holds at least name and data, and overlaps neither.
        unsafe {
            copy_nonoverlapping(name.as_ptr(), ptr.as_ptr(), name.len());
            copy_nonoverlapping(bytes.as_ptr(), ptr.as_ptr().add(name.len()), bytes.len());
        }
        Content { ptr, name_len, data_len }
    }

    pub(crate) fn name(&self) -> &str {
        // SAFETY: the first `name_len` bytes were copied from a `&str` and are never changed.
        unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.ptr.as_ptr(), self.name_len as usize)) }
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        if self.data_len == NULL_DATA {
            return None;
        }
        // SAFETY: `data_len` initialized bytes follow the name.
        Some(unsafe {
            std::slice::from_raw_parts(self.ptr.as_ptr().add(self.name_len as usize), self.data_len as usize)
        })
    }

    /// Bytes of data; 0 for null data.
    pub(crate) fn data_len(&self) -> usize {
        if self.data_len == NULL_DATA { 0 } else { self.data_len as usize }
    }

    /// Replaces the data: in place where the allocation's size stays the same.
    pub(crate) fn set_data(&mut self, data: Option<&[u8]>) {
        let name_len = self.name_len as usize;
        let bytes = data.unwrap_or_default();
        let data_len = data.map_or(NULL_DATA, |d| length(d.len(), "data"));
        let (old, new) = (capacity(name_len + self.data_len()), capacity(name_len + bytes.len()));
        if old != new {
            let ptr = allocate(new);
            // SAFETY: both allocations hold the name; the old one was made with `old` bytes and is left here.
            unsafe {
                copy_nonoverlapping(self.ptr.as_ptr(), ptr.as_ptr(), name_len);
                dealloc(self.ptr.as_ptr(), layout(old));
            }
            self.ptr = ptr;
        }
        // SAFETY: the allocation now holds at least name and `bytes`; `bytes` cannot overlap what `&mut self` owns.
        unsafe { copy_nonoverlapping(bytes.as_ptr(), self.ptr.as_ptr().add(name_len), bytes.len()) };
        self.data_len = data_len;
    }
}

impl Clone for Content {
    fn clone(&self) -> Content {
        Content::new(self.name(), self.data())
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // SAFETY: allocated with this capacity, by the invariant.
        unsafe { dealloc(self.ptr.as_ptr(), layout(capacity(self.name_len as usize + self.data_len()))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_data_stay_apart() {
        let mut content = Content::new("n", None);
        assert_eq!((content.name(), content.data(), content.data_len()), ("n", None, 0));
        content.set_data(Some(b""));
        assert_eq!((content.name(), content.data(), content.data_len()), ("n", Some(&b""[..]), 0));
        content.set_data(None);
        assert_eq!(content.data(), None);
    }

    #[test]
    fn data_of_every_size_replaces_data_of_every_size() {
        let bytes: Vec<u8> = (0..200u8).collect();
        for name in ["", "a", "a name of some length"] {
            for from in [0, 1, 6, 7, 8, 9, 100, 200] {
                for to in 0..bytes.len() {
                    let mut content = Content::new(name, Some(&bytes[..from]));
                    content.set_data(Some(&bytes[..to]));
                    assert_eq!((content.name(), content.data()), (name, Some(&bytes[..to])));
                    let copy = content.clone();
                    content.set_data(None);
                    assert_eq!((copy.name(), copy.data()), (name, Some(&bytes[..to])));
                }
            }
        }
    }
}
