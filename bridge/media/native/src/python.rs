//! The face towards Python.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::srtp::{Context, Profile};

/// One direction of SRTP, for tests that hold it against other implementations.
#[pyclass]
struct Srtp {
    context: Context,
}

#[pymethods]
impl Srtp {
    #[new]
    fn new(profile: &str, key_and_salt: &[u8]) -> PyResult<Self> {
        let context = Profile::named(profile).and_then(|profile| Context::new(profile, key_and_salt));
        Ok(Self { context: context.ok_or_else(|| PyValueError::new_err("unknown profile, or a key of another length"))? })
    }

    /// Encrypt a packet; `None` when that is not possible.
    #[pyo3(signature = (packet, *, rtcp))]
    fn protect<'py>(&mut self, py: Python<'py>, packet: &[u8], rtcp: bool) -> Option<Bound<'py, PyBytes>> {
        let mut packet = packet.to_vec();
        let done = if rtcp { self.context.protect_rtcp(&mut packet) } else { self.context.protect(&mut packet) };
        done.then(|| PyBytes::new(py, &packet))
    }

    /// Check and decrypt a packet; `None` for one that is forged or was seen.
    #[pyo3(signature = (packet, *, rtcp))]
    fn unprotect<'py>(&mut self, py: Python<'py>, packet: &[u8], rtcp: bool) -> Option<Bound<'py, PyBytes>> {
        let mut packet = packet.to_vec();
        let done = if rtcp { self.context.unprotect_rtcp(&mut packet) } else { self.context.unprotect(&mut packet) };
        done.ok().map(|()| PyBytes::new(py, &packet))
    }
}

#[pymodule]
fn trunkline_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Srtp>()
}
