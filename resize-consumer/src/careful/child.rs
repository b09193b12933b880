//! The child's side: this very program, told by its first argument to resize what comes through its stdin, which is a
//! socket. It bounds itself before it reads a job, so nothing has to run between fork and exec.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::time::{ClockId, clock_gettime};

use super::frame;
use crate::pool;

/// The first argument that makes this program a child; the parent's process id and the bytes of memory a job may take
/// follow.
pub const ARGUMENT: &str = "careful-child";

/// Resizes until the parent closes the pipe. Nobody reads the exit code but for its not being a signal's.
pub fn serve() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(2).filter_map(|word| word.parse().ok()).collect();
    let &[parent, memory_bytes] = numbers.as_slice() else { return ExitCode::from(2) };
    if run(parent, memory_bytes).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(parent: u64, memory_bytes: u64) -> io::Result<()> {
    close_inherited()?;
    let mut pipe = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    confine(parent, memory_bytes)?;
    while let Some((task, source)) = frame::read_task(&mut pipe)? {
        allow_cpu(task.cpu_seconds)?;
        frame::write_begun(&mut pipe)?;
        let resized = pool::resize_here(&source, &task.params, &task.limits);
        frame::write_answer(&mut pipe, resized)?;
    }
    Ok(())
}

/// librdkafka opens pipes that a program started beside it inherits.
fn close_inherited() -> io::Result<()> {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    // One of them was the listing's own, and is closed.
    for fd in open.into_iter().filter(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok()) {
        // SAFETY: it is open; and this is the first thing the process does, so nothing in it owns one above 2.
        #[expect(unsafe_code, reason = "descriptors by number, which have no owner here")]
        unsafe {
            rustix::io::close(fd);
        }
    }
    Ok(())
}

/// Bounds this process for good:
///
/// | | |
/// |---|---|
/// | its parent dies | it dies too |
/// | `RLIMIT_DATA` | what it has at the start and a job's memory. Not `RLIMIT_AS`, which counts the program's text and what allocators reserve without using it |
/// | `RLIMIT_STACK` | as much as a thread of the pool has, so that the same image overflows both |
/// | `RLIMIT_NOFILE`, `RLIMIT_NPROC` | 0: it opens no file and no socket, and (but as root) starts no process |
/// | core dumps | none, wherever they go: an image is nobody's business |
/// | the kernel short of memory | it is killed before its parent |
fn confine(parent: u64, memory_bytes: u64) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(|pid| i64::from(pid.as_raw_nonzero().get())) != i64::try_from(parent).ok() {
        return Err(io::Error::other("the parent died before its death would have been told"));
    }
    // Where it can't be raised, all are as likely to be killed.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let own = data_bytes()?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Stack, pool::STACK_BYTES as u64),
        (Resource::Data, own.saturating_add(memory_bytes)),
    ] {
        limit(resource, most)?;
    }
    Ok(())
}

/// Lowers a limit for good; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// What `RLIMIT_DATA` counts, so far. Source: proc_pid_status(5), `VmData`.
fn data_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("no VmData in /proc/self/status"))
}

/// `RLIMIT_CPU` counts whole seconds since the process began, so it is set anew for each job. Past it comes SIGXCPU.
fn allow_cpu(seconds: u64) -> io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or_default();
    let maximum = getrlimit(Resource::Cpu).maximum;
    let until = used.saturating_add(seconds).saturating_add(1);
    let current = maximum.map_or(until, |maximum| maximum.min(until));
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(current), maximum })?)
}
