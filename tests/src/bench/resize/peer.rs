//! Who is compared: our engine in this process, and sharp and Pillow as children that live as long as the run.
//!
//! A child is told and answers one JSON object per line:
//!
//! | told | answers |
//! |---|---|
//! | | `{"version": "…"}`, at its start |
//! | `{"load": ["path", …]}`: read these into memory | `{"loaded": 24}` |
//! | a [`Job`]: convert all that is loaded, one after the other | a [`Pass`] |
//!
//! It ends when its input does, so also with this process.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use contract::resize::{OutputFormat, Resize};
use engine::{Engine, Limits};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// As large as fits within width × height.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Job {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: OutputFormat,
    pub(super) quality: u8,
    /// A folder to leave the outputs in, by the inputs' names; that isn't measured.
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pass {
    /// Of the whole process, all of its threads: user and system.
    pub(super) cpu_micros: u64,
    /// Of each output.
    pub(super) bytes: Vec<u64>,
}

pub(super) trait Peer {
    fn version(&self) -> &str;
    fn load(&mut self, paths: &[PathBuf]) -> Result<()>;
    fn convert(&mut self, job: &Job) -> Result<Pass>;
}

/// The engine, as a worker's thread uses it.
#[derive(Debug, Default)]
pub(super) struct Ours {
    engine: Engine,
    inputs: Vec<(PathBuf, Vec<u8>)>,
}

impl Peer for Ours {
    fn version(&self) -> &'static str {
        concat!("Pixtoll ", env!("CARGO_PKG_VERSION"))
    }

    fn load(&mut self, paths: &[PathBuf]) -> Result<()> {
        let read = |path: &PathBuf| Ok((path.clone(), fs::read(path).with_context(|| path.display().to_string())?));
        self.inputs = paths.iter().map(read).collect::<Result<_>>()?;
        Ok(())
    }

    fn convert(&mut self, job: &Job) -> Result<Pass> {
        let (width, height, format) = (Some(job.width), Some(job.height), Some(job.format));
        let params = Resize { width, height, format, quality: Some(job.quality), ..Resize::default() };
        let limits = Limits::default();
        let mut outputs = Vec::with_capacity(self.inputs.len());
        let before = cpu_nanos();
        for (path, input) in &self.inputs {
            let output = self.engine.resize(input, &params, &limits);
            outputs.push(output.with_context(|| path.display().to_string())?.bytes);
        }
        let cpu_micros = (cpu_nanos() - before) / 1000;
        for ((path, _), output) in self.inputs.iter().zip(&outputs) {
            if let (Some(folder), Some(name)) = (&job.out, path.file_stem()) {
                fs::write(folder.join(name).with_extension(job.extension()), output)?;
            }
        }
        Ok(Pass { cpu_micros, bytes: outputs.iter().map(|output| output.len() as u64).collect() })
    }
}

/// Of this process with all of its threads, so that none could hide work in another.
fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

impl Job {
    pub(super) fn extension(&self) -> &'static str {
        match self.format {
            OutputFormat::Png => "png",
            OutputFormat::Webp => "webp",
            OutputFormat::Jpeg | OutputFormat::Auto => "jpeg",
        }
    }
}

#[derive(Debug)]
pub(super) struct Other {
    version: String,
    child: Child,
    /// `None` once it was told to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Other {
    pub(super) fn sharp(folder: &Path) -> Result<Self> {
        let mut command = Command::new(folder.join("venv/node/bin/node"));
        command.arg("tests/bench/sharp.mjs").arg(folder.join("npm"));
        Self::start(command.env("UV_THREADPOOL_SIZE", "1")).context("sharp")
    }

    pub(super) fn pillow(folder: &Path) -> Result<Self> {
        let mut command = Command::new(folder.join("venv/bin/python"));
        Self::start(command.arg("tests/bench/pillow_peer.py")).context("Pillow")
    }

    fn start(command: &mut Command) -> Result<Self> {
        #[derive(Deserialize)]
        struct Hello {
            version: String,
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.context("cannot start it; `make bench-resize` installs it")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { bail!("no pipes") };
        let mut peer = Self { version: String::new(), child, input: Some(input), output: BufReader::new(output) };
        peer.version = peer.answer::<Hello>()?.version;
        Ok(peer)
    }

    fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<A> {
        let input = self.input.as_mut().context("it was told to end")?;
        writeln!(input, "{}", serde_json::to_string(question)?).with_context(|| self.version.clone())?;
        self.answer().with_context(|| self.version.clone())
    }

    fn answer<A: DeserializeOwned>(&mut self) -> Result<A> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "it ended; why may stand above");
        serde_json::from_str(&line).with_context(|| line)
    }
}

impl Peer for Other {
    fn version(&self) -> &str {
        &self.version
    }

    fn load(&mut self, paths: &[PathBuf]) -> Result<()> {
        #[derive(Serialize)]
        struct Load<'a> {
            load: &'a [PathBuf],
        }
        #[derive(Deserialize)]
        struct Loaded {
            loaded: usize,
        }
        let Loaded { loaded } = self.ask(&Load { load: paths })?;
        ensure!(loaded == paths.len(), "{} loaded {loaded} of {} pictures", self.version, paths.len());
        Ok(())
    }

    fn convert(&mut self, job: &Job) -> Result<Pass> {
        self.ask(job)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.input = None;
        // Fails only where it is gone already.
        let _ = self.child.wait();
    }
}
