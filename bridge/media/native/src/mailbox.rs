//! What the threads have for Python, and the descriptor that wakes it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::outbox::Pressed;

/// Datagrams of one call that may wait: what a flood brings beyond them is lost.
const MOST_WAITING: u32 = 64;

/// A datagram that is not audio.
pub struct Returned {
    /// Whose call it belongs to.
    pub call: u32,
    /// On which of its sockets it came.
    pub socket: u32,
    /// What it was.
    pub datagram: Vec<u8>,
    /// Where it came from.
    pub source: SocketAddr,
}

/// Everything that waits.
#[derive(Default)]
pub struct Contents {
    /// Connectivity checks and DTLS.
    pub returned: Vec<Returned>,
    /// Keys that ended, with the call in which they were pressed.
    pub pressed: Vec<(u32, Pressed)>,
    /// Calls whose Matrix leg was heard for the first time.
    pub heard: Vec<u32>,
    of_call: HashMap<u32, u32>,
}

/// Filled by the threads, emptied by Python's event loop.
pub struct Mailbox {
    wake: OwnedFd,
    contents: Mutex<Contents>,
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { wake, contents: Mutex::default() })
    }

    /// Readable while something waits.
    pub fn descriptor(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Hand a datagram back; `false` when too many of this call wait.
    pub fn give_back(&self, returned: Returned) -> bool {
        let mut contents = self.lock();
        let waiting = contents.of_call.entry(returned.call).or_default();
        if *waiting >= MOST_WAITING {
            return false;
        }
        *waiting += 1;
        contents.returned.push(returned);
        self.ring(&contents);
        true
    }

    /// Tell of a key.
    pub fn tell(&self, call: u32, pressed: Pressed) {
        let mut contents = self.lock();
        contents.pressed.push((call, pressed));
        self.ring(&contents);
    }

    /// Tell of a first packet.
    pub fn tell_heard(&self, call: u32) {
        let mut contents = self.lock();
        contents.heard.push(call);
        self.ring(&contents);
    }

    /// Take everything.
    pub fn empty(&self) -> Contents {
        let mut contents = self.lock();
        // Nothing to read means that nobody rang.
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        std::mem::take(&mut contents)
    }

    /// Wake Python with the first thing that waits.
    fn ring(&self, contents: &Contents) {
        if contents.returned.len() + contents.pressed.len() + contents.heard.len() == 1 {
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
