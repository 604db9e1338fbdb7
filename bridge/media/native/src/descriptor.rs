//! Sockets that Python owns, borrowed for as long as it takes to make one of our own.

use std::io::{Error, ErrorKind, Result};
use std::net::UdpSocket;
use std::os::fd::{BorrowedFd, RawFd};

/// A descriptor of our own for a socket of Python's, which closes its own whenever it likes.
pub fn duplicate(descriptor: RawFd) -> Result<UdpSocket> {
    if descriptor < 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "a socket that is closed"));
    }
    // SAFETY: Python keeps the socket open while it calls us, and we borrow it no longer than that; the kernel refuses a
    // number that is no descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let socket = UdpSocket::from(borrowed.try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    Ok(socket)
}
