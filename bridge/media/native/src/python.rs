//! The face towards Python: commands release the interpreter lock before they wait for a call.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::audio::{Beginning, CallAudio, HeardNumbers, LegNumbers, Numbers};
use crate::call::Call;
use crate::formats::Codec;
use crate::interface::INTERFACE;
use crate::latch::Network;
use crate::mailbox::Mailbox;
use crate::opus;
use crate::phone::Phone;
use crate::python_bench::{Bench, Srtp};
use crate::python_values::{
    PyAddress, PyFormats, PyKey, PyNews, PyPlaying, PyStart, Sound, address, context, failed, formats, key, library,
    news, playing, socket, start,
};
use crate::webrtc::WebRtc;
use crate::worker::{SharedCall, Worker, lock, now};

/// The threads, and what they have for Python.
#[pyclass(frozen)]
struct Engine {
    workers: Vec<Arc<Worker>>,
    mailbox: Arc<Mailbox>,
    opus: Option<Arc<opus::Library>>,
    calls: AtomicU32,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, threads, opus))]
    fn new(threads: usize, opus: Option<&str>) -> PyResult<Self> {
        let workers: std::io::Result<Vec<_>> = (0..threads.max(1)).map(|n| Worker::start(n).map(Arc::new)).collect();
        Ok(Self {
            workers: workers.map_err(failed)?,
            mailbox: Arc::new(Mailbox::new().map_err(failed)?),
            opus: library(opus),
            calls: AtomicU32::new(0),
        })
    }

    /// Whether libopus was found where it was said to be.
    #[getter]
    fn has_opus(&self) -> bool {
        self.opus.is_some()
    }

    /// Readable while `collect` has something to give.
    fn fileno(&self) -> RawFd {
        self.mailbox.descriptor()
    }

    /// A call with the phone's two sockets, on the thread that has the fewest.
    #[pyo3(signature = (*, rtp, rtcp, trusted, to_matrix, to_sip, cname, signals_digits))]
    #[allow(clippy::too_many_arguments)]
    fn open(
        &self,
        rtp: RawFd,
        rtcp: RawFd,
        trusted: Vec<(String, u32)>,
        to_matrix: PyStart,
        to_sip: PyStart,
        cname: String,
        signals_digits: bool,
    ) -> PyResult<NativeCall> {
        let networks: PyResult<Vec<Network>> =
            trusted.into_iter().map(|(host, prefix)| Ok(Network::new(address(&(host, 0))?.ip(), prefix))).collect();
        let (now, opus) = (now(), self.opus.clone());
        let (to_matrix, to_sip) = (start(to_matrix), start(to_sip));
        let audio = CallAudio::new(Beginning { to_matrix, to_sip, cname, signals_digits, opus, now });
        let phone = Phone::new(socket(rtp)?, socket(rtcp)?, networks?, now);
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let call = Arc::new(std::sync::Mutex::new(Call::new(number, audio, phone, &self.mailbox)));
        let worker = self.workers.iter().min_by_key(|worker| worker.load()).expect("there is always one").clone();
        worker.add(number, call.clone()).map_err(failed)?;
        Ok(NativeCall { number, call, worker: Arc::downgrade(&worker) })
    }

    /// What came since the last time: datagrams for ICE and DTLS, and what happened in which call.
    #[allow(clippy::type_complexity)]
    fn collect<'py>(&self, py: Python<'py>) -> (Vec<(u32, u32, Bound<'py, PyBytes>, PyAddress)>, Vec<PyNews>) {
        let contents = self.mailbox.empty();
        let returned = contents.returned.into_iter().map(|item| {
            let source = (item.source.ip().to_string(), item.source.port());
            (item.call, item.socket, PyBytes::new(py, &item.datagram), source)
        });
        (returned.collect(), contents.news.into_iter().map(news).collect())
    }

    /// Faults that were survived, since the last time.
    fn take_faults(&self) -> u64 {
        self.workers.iter().map(|worker| worker.take_faults()).sum()
    }

    /// End the threads; may be called twice.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.workers.iter().try_for_each(|worker| worker.stop())).map_err(failed)
    }
}

/// One call; every method may be used until the end of the process.
#[pyclass(frozen)]
struct NativeCall {
    number: u32,
    call: SharedCall,
    /// Gone with the engine, whoever still asks for the numbers of a call.
    worker: Weak<Worker>,
}

impl NativeCall {
    /// Do something with the call, while other threads may have the interpreter.
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Call) -> T + Send) -> T {
        py.detach(|| work(&mut lock(&self.call)))
    }
}

#[pymethods]
impl NativeCall {
    /// Tells calls of an engine apart in what it collects.
    #[getter]
    fn number(&self) -> u32 {
        self.number
    }

    /// Take what the legs agreed on, and what feeds the phone: the Matrix leg, or another call's phone.
    fn configure(
        &self,
        py: Python<'_>,
        matrix: Option<PyFormats>,
        sip: Option<PyFormats>,
        feed: Option<PyFormats>,
    ) -> PyResult<()> {
        let (matrix, sip, feed) = (formats(matrix)?, formats(sip)?, formats(feed)?);
        self.with(py, |call| call.audio.configure(matrix, sip, feed));
        Ok(())
    }

    /// Carry this phone's audio to that of another call instead of to the Matrix side; `None` parts them.
    fn join(&self, py: Python<'_>, partner: Option<&NativeCall>) {
        let partner = partner.map(|partner| Arc::downgrade(&partner.call));
        self.with(py, |call| {
            call.partner = partner;
            call.audio.to_sip.expect_new_source();
        });
    }

    /// Which way audio may flow, and whether pauses towards the phone are filled.
    #[pyo3(signature = (*, to_sip, filling, to_matrix))]
    fn let_through(&self, py: Python<'_>, to_sip: bool, filling: bool, to_matrix: bool) {
        self.with(py, |call| call.audio.let_through(to_sip, filling, to_matrix));
    }

    /// Take the phone's address of RTP with its port of RTCP, and the keys, ours and theirs; none is audio in the clear.
    ///
    /// `true` when the address of RTP is new. Both at once: nothing is sent to one phone with the key of another.
    fn direct(
        &self,
        py: Python<'_>,
        addresses: Option<(PyAddress, u16)>,
        keys: Option<(PyKey, PyKey)>,
    ) -> PyResult<bool> {
        let keys = keys.map(|(ours, theirs)| Ok::<_, PyErr>((key(ours)?, key(theirs)?))).transpose()?;
        let addresses = addresses.map(|(rtp, rtcp)| Ok::<_, PyErr>((address(&rtp)?, rtcp))).transpose()?;
        let moved = self.with(py, |call| {
            let Some(phone) = call.phone.as_mut() else { return Some(false) };
            let moved = addresses.is_some_and(|(rtp, rtcp)| phone.direct(rtp, rtcp));
            phone.secure(keys).map(|()| moved)
        });
        moved.ok_or_else(|| PyValueError::new_err("a key of another length"))
    }

    /// Open the path to a phone that is another one, or elsewhere, with a little silence.
    fn expect_new_phone(&self, py: Python<'_>) {
        self.with(py, |call| call.audio.expect_new_phone());
    }

    /// What this call hears continues its stream, whatever its numbers: from the phone, or from the partner's.
    #[pyo3(signature = (*, of_partner))]
    fn expect_new_source(&self, py: Python<'_>, of_partner: bool) {
        self.with(py, |call| {
            let direction = if of_partner { &mut call.audio.to_sip } else { &mut call.audio.to_matrix };
            direction.expect_new_source();
        });
    }

    /// Send keys, by their event codes, to the Matrix client, or to the phone in the place of the partner's.
    #[pyo3(signature = (events, duration_ms, *, of_partner))]
    fn press(&self, py: Python<'_>, events: Vec<u8>, duration_ms: u32, of_partner: bool) {
        self.with(py, |call| {
            let direction = if of_partner { &mut call.audio.to_sip } else { &mut call.audio.to_matrix };
            direction.keypad.press(&events, duration_ms);
        });
    }

    /// Let one side hear a sound in the place of the other; `None` is the other again.
    fn play(&self, py: Python<'_>, to_phone: bool, given: Option<PyPlaying<'_>>) {
        let playing = playing(given);
        self.with(py, |call| call.audio.play(to_phone, playing));
    }

    /// Tell of keys of the phone, of tones in its audio too, or no longer.
    fn listen(&self, py: Python<'_>, wanted: bool, tones: bool) {
        self.with(py, |call| call.audio.listen(wanted, tones));
    }

    /// Set packets of both sides aside, or no longer; what was set aside stays.
    fn tap(&self, py: Python<'_>, wanted: bool) {
        self.with(py, |call| call.audio.tap.wanted = wanted);
    }

    /// What was set aside since the last time (whether by the phone, when, codec, packet), and whether some was lost.
    #[allow(clippy::type_complexity)]
    fn tapped<'py>(&self, py: Python<'py>) -> (Vec<(bool, f64, &'static str, Bound<'py, PyBytes>)>, bool) {
        let (waiting, overflowed) = self.with(py, |call| (call.audio.tap.empty(), call.audio.tap.overflowed));
        let plain = waiting.into_iter().map(|tapped| {
            let codec = tapped.codec.map_or("", Codec::name);
            (tapped.from_phone, tapped.arrived, codec, PyBytes::new(py, &tapped.octets))
        });
        (plain.collect(), overflowed)
    }

    /// Encrypt and decrypt for a Matrix leg whose DTLS is up; one that was there before is let go.
    fn attach(&self, py: Python<'_>, ours: PyKey, theirs: PyKey) -> PyResult<()> {
        let leg = WebRtc::new(context(ours)?, context(theirs)?, now());
        self.with(py, |call| {
            if let (Some(before), Some(worker)) = (call.webrtc.take(), self.worker.upgrade()) {
                worker.unwatch(before.paths.iter().map(|path| &path.socket));
            }
            call.webrtc = call.phone.is_some().then_some(leg);
        });
        Ok(())
    }

    /// Read one more socket of the Matrix leg; the number by which it is known from now on.
    /// What every check for us has in its user name is `named`; a `relayed` socket carries channel data of TURN.
    #[pyo3(signature = (descriptor, named, *, relayed))]
    fn add_socket(&self, py: Python<'_>, descriptor: RawFd, named: Vec<u8>, relayed: bool) -> PyResult<u32> {
        let socket = socket(descriptor)?;
        self.with(py, |call| {
            let number = call.add_socket(socket, named, relayed);
            let number = number.ok_or_else(|| std::io::Error::other("there is no leg that is attached"))?;
            self.worker.upgrade().map_or(Ok(()), |worker| worker.watch(self.number, call))?;
            Ok(number)
        })
        .map_err(failed)
    }

    /// Let a socket of the Matrix leg go.
    fn remove_socket(&self, py: Python<'_>, number: u32) {
        self.with(py, |call| {
            let Some(leg) = call.webrtc.as_mut() else { return };
            if let Some(worker) = self.worker.upgrade() {
                worker.unwatch(leg.path(number).map(|path| &path.socket).into_iter());
            }
            leg.paths.retain(|path| path.number != number);
        });
    }

    /// What the channels of a relayed socket stand for.
    fn bind(&self, py: Python<'_>, number: u32, channels: Vec<(u16, PyAddress)>) -> PyResult<()> {
        let address = |(channel, peer): &(u16, PyAddress)| Ok::<_, PyErr>((*channel, address(peer)?));
        let channels: Vec<_> = channels.iter().map(address).collect::<PyResult<_>>()?;
        self.with(py, |call| {
            let paths = call.webrtc.iter_mut().flat_map(|leg| &mut leg.paths);
            paths.filter(|path| path.number == number).for_each(|path| path.bind(channels.clone()));
        });
        Ok(())
    }

    /// Where the Matrix leg may hear from, and on which socket and to whom it sends.
    fn follow(&self, py: Python<'_>, validated: Vec<PyAddress>, nominated: Option<(u32, PyAddress)>) -> PyResult<()> {
        let validated: PyResult<Vec<SocketAddr>> = validated.iter().map(address).collect();
        let validated = validated?;
        let nominated = nominated.map(|(index, remote)| Ok::<_, PyErr>((index, address(&remote)?))).transpose()?;
        self.with(py, |call| {
            if let Some(leg) = call.webrtc.as_mut() {
                (leg.validated, leg.nominated) = (validated, nominated);
            }
        });
        Ok(())
    }

    /// What was thrown away since the last time, by reason.
    fn take_discards(&self, py: Python<'_>) -> Vec<(&'static str, u64)> {
        self.with(py, |call| call.discards.take())
    }

    /// From where RTP came first that was not announced, and what was.
    #[getter]
    fn unexpected_source(&self, py: Python<'_>) -> Option<(String, String)> {
        self.with(py, |call| call.unexpected.map(|(source, announced)| (source.to_string(), announced.to_string())))
    }

    /// What became of the audio so far.
    fn numbers(&self, py: Python<'_>) -> Numbers {
        self.with(py, |call| call.audio.numbers())
    }

    /// Tell both ends that our streams are over, while there still is a way to them.
    fn say_goodbye(&self, py: Python<'_>) {
        self.with(py, Call::say_goodbye);
    }

    /// Datagrams from addresses that ICE has not validated.
    #[getter]
    fn off_path(&self, py: Python<'_>) -> u64 {
        self.with(py, |call| call.discards.off_path)
    }

    /// Say goodbye and free everything; the numbers stay. May be called twice.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.worker.upgrade().map_or(Ok(()), |worker| worker.remove(self.number))?;
            lock(&self.call).close();
            Ok(())
        })
        .map_err(failed)
    }
}

#[pymodule]
fn trunkline_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", INTERFACE)?;
    module.add_class::<Srtp>()?;
    module.add_class::<Sound>()?;
    module.add_class::<Bench>()?;
    module.add_class::<Numbers>()?;
    module.add_class::<LegNumbers>()?;
    module.add_class::<HeardNumbers>()?;
    module.add_class::<Engine>()?;
    module.add_class::<NativeCall>()
}
