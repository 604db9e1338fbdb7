//! What Python says and is told: tuples of plain values, turned into ours and back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::RawFd;
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::descriptor::duplicate;
use crate::formats::{Audio, Codec, Digits, Formats, PacketTimes};
use crate::mailbox::News;
use crate::opus::{self, Wish};
use crate::outbound::Start;
use crate::phone::Key;
use crate::player::Playing;
use crate::sounds;
use crate::srtp::{Context, Profile};

/// SSRC, timestamp and sequence number with which a stream begins.
pub type PyStart = (u32, u32, u16);
/// Audio that may arrive, events that may arrive, audio that is sent, events that are sent, packet times.
pub type PyFormats =
    (Vec<(u8, String)>, Vec<(u8, u32)>, (u8, String), Option<(u8, u32)>, (usize, bool, usize), PyOpusWish);
/// Bit rate, rate of playing, redundancy, pauses, packets of one length.
pub type PyOpusWish = (u32, u32, bool, bool, bool);
/// A profile's name, with key and salt.
pub type PyKey = (String, Vec<u8>);
pub type PyAddress = (String, u16);
/// A sound, whether it repeats, and its number.
pub type PyPlaying<'a> = (PyRef<'a, Sound>, bool, u32);
/// A call, what happened, which key or sound, for how long.
pub type PyNews = (u32, &'static str, u32, u32);

pub fn start((ssrc, timestamp, sequence): PyStart) -> Start {
    Start { ssrc, timestamp, sequence }
}

pub fn address((host, port): &PyAddress) -> PyResult<SocketAddr> {
    let host: IpAddr = host.parse().map_err(|_| PyValueError::new_err("no IP address"))?;
    Ok(SocketAddr::new(host, *port))
}

pub fn codec(name: &str) -> PyResult<Codec> {
    Codec::named(name).ok_or_else(|| PyValueError::new_err("unknown codec"))
}

pub fn formats(given: Option<PyFormats>) -> PyResult<Option<Formats>> {
    let Some((receive, receive_digits, send, send_digits, packets, wish)) = given else { return Ok(None) };
    let (made_ms, exact, longest_ms) = packets;
    let (bitrate, playback_rate, fec, dtx, constant) = wish;
    if made_ms == 0 || made_ms % 10 != 0 || made_ms > 60 {
        return Err(PyValueError::new_err("a packet time that is not 10 to 60 ms"));
    }
    let audio = |(payload_type, name): (u8, String)| Ok::<_, PyErr>(Audio { payload_type, codec: codec(&name)? });
    let digits = |(payload_type, clock_rate): (u8, u32)| {
        if clock_rate == 0 {
            return Err(PyValueError::new_err("a clock that stands still"));
        }
        Ok(Digits { payload_type, clock_rate })
    };
    Ok(Some(Formats {
        receive: receive.into_iter().map(audio).collect::<PyResult<_>>()?,
        receive_digits: receive_digits.into_iter().map(digits).collect::<PyResult<_>>()?,
        send: audio(send)?,
        send_digits: send_digits.map(digits).transpose()?,
        packets: PacketTimes { made_ms, exact, longest_ms },
        opus: Wish { bitrate, playback_rate, fec, dtx, constant },
    }))
}

pub fn key((profile, key_and_salt): PyKey) -> PyResult<Key> {
    let profile = Profile::named(&profile).ok_or_else(|| PyValueError::new_err("unknown profile"))?;
    Ok(Key { profile, key_and_salt })
}

pub fn context(given: PyKey) -> PyResult<Context> {
    let key = key(given)?;
    Context::new(key.profile, &key.key_and_salt).ok_or_else(|| PyValueError::new_err("a key of another length"))
}

pub fn failed(error: std::io::Error) -> PyErr {
    PyOSError::new_err(error.to_string())
}

/// A socket of our own in the place of one that Python owns.
pub fn socket(descriptor: RawFd) -> PyResult<UdpSocket> {
    duplicate(descriptor).map_err(failed)
}

pub fn library(path: Option<&str>) -> Option<Arc<opus::Library>> {
    path.and_then(opus::library)
}

pub fn playing(given: Option<PyPlaying<'_>>) -> Option<Playing> {
    given.map(|(sound, repeats, number)| Playing { sound: sound.shared.clone(), repeats, number })
}

pub fn news((call, news): (u32, News)) -> PyNews {
    match news {
        News::Heard => (call, "heard", 0, 0),
        News::Pressed(pressed) => (call, "pressed", pressed.event.into(), pressed.duration_ms),
        News::PhoneDigit(event) => (call, "phone_digit", event.into(), 0),
        News::Played(number) => (call, "played", number, 0),
    }
}

/// A sound of our own, coded once for all calls that play it.
#[pyclass(frozen)]
pub struct Sound {
    pub shared: Arc<sounds::Sound>,
}

#[pymethods]
impl Sound {
    /// From the payloads of each 20 ms, for every codec.
    #[new]
    fn new(coded: Vec<(String, Vec<PyBackedBytes>)>) -> PyResult<Self> {
        let form = |(name, frames): (String, Vec<PyBackedBytes>)| {
            let frames = frames.iter().map(|frame| frame.to_vec()).collect();
            Ok::<_, PyErr>(sounds::Coded { codec: codec(&name)?, frames })
        };
        let coded = coded.into_iter().map(form).collect::<PyResult<_>>()?;
        let sound = sounds::Sound::new(coded).ok_or_else(|| PyValueError::new_err("no sound, or several"))?;
        Ok(Self { shared: Arc::new(sound) })
    }
}
