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

/// Something that happened in a call.
#[derive(Clone, Copy)]
pub enum News {
    /// The Matrix leg was heard for the first time.
    Heard,
    /// A key of the Matrix client has ended, for signalling to tell.
    Pressed(Pressed),
    /// A key of the phone, by its event code.
    PhoneDigit(u8),
    /// The sound of this number has been played to its end.
    Played(u32),
}

/// Everything that waits.
#[derive(Default)]
pub struct Contents {
    /// Connectivity checks and DTLS.
    pub returned: Vec<Returned>,
    /// What happened, with the call.
    pub news: Vec<(u32, News)>,
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

    /// Tell what happened.
    pub fn tell(&self, call: u32, news: News) {
        let mut contents = self.lock();
        contents.news.push((call, news));
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
        if contents.returned.len() + contents.news.len() == 1 {
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
