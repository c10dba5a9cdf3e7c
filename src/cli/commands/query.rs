//! Commands that change nothing.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use runtime::Network;
use rustix::fs::inotify;
use rustix::io::Errno;

use crate::cli::args::Logs;
use crate::container::Container;
use crate::container::running::{PublicStatus, UNRESPONSIVE, Unresponsive};
use crate::lifecycle::network::addresses_on_links;
use crate::report::exit_codes;
use crate::report::printable::{self, Printable};
use crate::spec;
use crate::spec::network;

/// `status NAME`
pub fn status(container: &Container) -> Result<ExitCode> {
    if !container.exists() && !container.is_supervised() {
        answer!("gone")?;
        return Ok(ExitCode::from(exit_codes::NO_SUCH_CONTAINER));
    }
    match container.public_status() {
        Ok(status) => answer!("{}", status.map_or("down", |status| status.state.as_str()))?,
        Err(error) => {
            if error.is::<Unresponsive>() {
                answer!("{UNRESPONSIVE}")?;
            }
            return Err(error);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `show-ip NAME`
pub fn show_ip(container: &Container) -> Result<()> {
    let (addresses, why) = match container.public_status()? {
        Some(status) => (
            addresses(&status)?,
            match rustix::process::geteuid().is_root() {
                true => "it was started without one, and its links have none",
                false => "it was started without one; root can see those that its network gave it",
            },
        ),
        None => (
            container.config()?.local_addresses().collect(),
            "its configuration has neither LOCAL_ADDRESS nor LOCAL_ADDRESS6",
        ),
    };
    match addresses.first() {
        Some(address) => answer!("{address}"),
        None => bail!("{container} has no address: {why}"),
    }
}

/// The addresses of a running container: those that it was started with, whatever its
/// configuration says now, or else those that its network has given it. The container
/// itself can change the latter.
pub fn addresses(status: &PublicStatus) -> Result<Vec<IpAddr>> {
    if status.addresses.is_empty() && status.leader != 0 {
        return addresses_on_links(status.leader);
    }
    Ok(status.addresses.clone())
}

/// `logs NAME [--follow] [--supervisor]`
pub fn logs(container: &Container, arguments: &Logs) -> Result<()> {
    container.require()?;
    let path = match arguments.supervisor {
        true => container.run().supervisor_log(),
        false => container.run().console_log(),
    };
    let mut log = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{container} has not been started since the host booted")
        }
        answer => answer.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let cannot_print = || format!("cannot print {}", path.display());
    let mut stdout = printable::stdout();
    // Watched from before the first read, so that no line is missed.
    let watch = match arguments.follow {
        true => Some(watch(&path)?),
        false => None,
    };
    loop {
        // A log that has reached its longest size starts over.
        let position = log.stream_position().with_context(cannot_print)?;
        if log.metadata().with_context(cannot_print)?.len() < position {
            log.rewind().with_context(cannot_print)?;
        }
        io::copy(&mut log, &mut stdout).with_context(cannot_print)?;
        stdout.flush().with_context(cannot_print)?;
        let Some(watch) = &watch else {
            return Ok(());
        };
        if container.public_status()?.is_none() {
            // Output between the last read and the end.
            io::copy(&mut log, &mut stdout).with_context(cannot_print)?;
            return Ok(());
        }
        let mut events = [std::mem::MaybeUninit::uninit(); 1024];
        inotify::Reader::new(watch, &mut events)
            .next()
            .with_context(cannot_print)?;
    }
}

/// Watches a file for changes of its contents.
fn watch(path: &Path) -> Result<OwnedFd> {
    let cannot_watch = || format!("cannot watch {}", path.display());
    let watch = match inotify::init(inotify::CreateFlags::CLOEXEC) {
        Err(Errno::MFILE) => Err(Errno::MFILE).with_context(|| {
            "all inotify instances of this user are in use; allow more with `sysctl -w \
             fs.inotify.max_user_instances=512`"
        }),
        answer => answer.map_err(anyhow::Error::from),
    };
    let watch = watch.with_context(cannot_watch)?;
    let changes = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CLOSE_WRITE;
    inotify::add_watch(&watch, path, changes).with_context(cannot_watch)?;
    Ok(watch)
}

/// `explain NAME [--json]`
pub fn explain(container: &Container, json: bool) -> Result<()> {
    let config = container.config()?;
    let start = spec::resolve(container, &config)?;
    for notice in &start.notices {
        say!("note: {notice}");
    }
    let plan = runtime::plan(&start.spec);
    let network = start
        .network
        .map(|network| network.plan())
        .unwrap_or_default();
    let mut stdout = io::stdout().lock();
    if json {
        let whole = serde_json::json!({
            "container": container.name().as_str(),
            "chown_trees": start.chown_trees,
            "namespaces": plan.namespaces,
            "host_steps": plan.host_steps,
            "network": network,
            "steps": plan.steps,
        });
        serde_json::to_writer_pretty(&mut stdout, &whole).context("cannot print")?;
        writeln!(stdout).context("cannot print")?;
        return Ok(());
    }
    let network = (start.spec.network != Network::Host).then_some(&network[..]);
    let mut stdout = Printable::new(stdout);
    print_explanation(container, &start.chown_trees, &plan, network, &mut stdout)
        .context("cannot print")
}

fn print_explanation(
    container: &Container,
    chown_trees: &[PathBuf],
    plan: &runtime::Plan,
    network: Option<&[network::Step]>,
    out: &mut impl Write,
) -> io::Result<()> {
    let namespaces: Vec<_> = plan.namespaces.iter().map(ToString::to_string).collect();
    writeln!(out, "How {container} is started\n")?;
    if !chown_trees.is_empty() {
        writeln!(out, "The supervisor changes the owner of")?;
        for (path, number) in chown_trees.iter().zip(1..) {
            let tree = format!("{} and everything in it", path.display());
            print_step(out, number, &tree, "chown(2)")?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "The supervisor clones a child, in a cgroup of its own,"
    )?;
    print_step(
        out,
        1,
        &format!("into new namespaces: {}", namespaces.join(", ")),
        "clone(2), namespaces(7)",
    )?;
    writeln!(out, "\nThe supervisor meanwhile:")?;
    for (step, number) in plan.host_steps.iter().zip(1..) {
        print_step(out, number, &step.to_string(), step.manual())?;
    }
    match network {
        None => writeln!(out, "\nThe network is the host's.")?,
        // Another program sets it up.
        Some([]) => {}
        Some(network) => {
            writeln!(out, "\nIt sets up the network:")?;
            for (step, number) in network.iter().zip(1..) {
                print_step(out, number, &step.to_string(), step.manual())?;
            }
        }
    }
    writeln!(out, "\nThe child:")?;
    for (step, number) in plan.steps.iter().zip(1..) {
        print_step(out, number, &step.to_string(), step.manual())?;
    }
    Ok(())
}

/// Column of the manual pages, unless the step is longer.
const MANUAL_COLUMN: usize = 76;

fn print_step(out: &mut impl Write, number: usize, step: &str, manual: &str) -> io::Result<()> {
    writeln!(out, "{number:4}  {step:MANUAL_COLUMN$}  {manual}")
}
