//! Checks, before a start, that the host has what a network needs.

use netlink_packet_route::link::{InfoKind, LinkFlags, LinkMessage};
use rtnetlink::Handle;

use crate::link::{self, netlink, record};
use crate::{Bridge, Error, InterfaceName, Side, Spec, Step, Veth, plan};

/// What an interface of the host is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The host's end of a veth pair becomes a port of it.
    Bridge,
    /// A macvlan link is created on it.
    Macvlan,
    /// An ipvlan link is created on it.
    Ipvlan,
    /// It moves into the container.
    Move,
}

/// Why an interface of the host cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no interface of that name.
    #[error("the host has no such link")]
    Missing,
    /// It has moved into this container.
    #[error("container '{0}' has it")]
    Held(String),
    /// It is a link of this kind, not a bridge.
    #[error("it is a {0} link, not a bridge")]
    NotABridge(String),
    /// It is the host's loopback.
    #[error("it is the host's loopback")]
    Loopback,
    /// It is also needed for this, for which it would have to stay.
    #[error("{}", .0.claim())]
    Claimed(Purpose),
}

/// Checks that all interfaces of the host that `spec` names exist and can be
/// used, and that no name is given twice. Changes nothing; asks the kernel only
/// about interfaces that are named.
///
/// # Errors
///
/// [`Error::Unfit`] or [`Error::SameName`] for the first that fails.
/// [`Error::Link`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
pub fn check(spec: &Spec) -> Result<(), Error> {
    let wanted = wanted(spec);
    if !wanted.is_empty() {
        netlink::block_on(async {
            let netlink = netlink::connect()?;
            for want in &wanted {
                want.check(&netlink, spec).await?;
                want.check_claims(&wanted)?;
            }
            Ok(())
        })?;
    }
    match same_name(&plan(spec)) {
        Some((side, name)) => Err(Error::SameName { side, name }),
        None => Ok(()),
    }
}

/// The first name that two links of one side would get.
fn same_name(plan: &[Step]) -> Option<(Side, String)> {
    let mut names = vec![(Side::Container, "lo")];
    for step in plan {
        let created = match step {
            Step::CreateVeth { host, peer, .. } => {
                [Some((Side::Host, host)), Some((Side::Container, peer))]
            }
            Step::MoveInterface { name, .. }
            | Step::CreateMacvlan { name, .. }
            | Step::CreateIpvlan { name, .. } => [None, Some((Side::Container, name))],
            _ => [None, None],
        };
        for (side, name) in created.into_iter().flatten() {
            if names.contains(&(side, name)) {
                return Some((side, name.clone()));
            }
            names.push((side, name));
        }
    }
    None
}

/// An interface of the host that a network needs.
struct Want<'a> {
    interface: &'a InterfaceName,
    purpose: Purpose,
    /// Whether it is created if it is missing.
    optional: bool,
}

fn wanted(spec: &Spec) -> Vec<Want<'_>> {
    let extra = spec.extra_veths.iter().map(|extra| &extra.veth);
    let veths = spec.veth.iter().chain(extra);
    let bridges = veths.filter_map(|veth: &Veth| {
        let bridge = veth.bridge.as_ref()?;
        Some(Want {
            interface: bridge.interface(),
            purpose: Purpose::Bridge,
            optional: matches!(bridge, Bridge::Zone(_)),
        })
    });
    let lists = [
        (Purpose::Macvlan, &spec.macvlans),
        (Purpose::Ipvlan, &spec.ipvlans),
        (Purpose::Move, &spec.interfaces),
    ];
    let others = lists.into_iter().flat_map(|(purpose, interfaces)| {
        interfaces.iter().map(move |wanted| Want {
            interface: &wanted.interface,
            purpose,
            optional: false,
        })
    });
    bridges.chain(others).collect()
}

impl Want<'_> {
    async fn check(&self, netlink: &Handle, spec: &Spec) -> Result<(), Error> {
        let interface = self.interface.as_str();
        let found = link::find(netlink, interface).await;
        let unfit = match &found.map_err(Error::link("look up", interface))? {
            None if self.optional => None,
            None => match record::holder(&spec.run_directory, interface) {
                // It comes back before this container starts again.
                Some(holder) if holder == spec.container.as_str() => None,
                holder => Some(holder.map_or(Unfit::Missing, Unfit::Held)),
            },
            Some(link) => self.unfit(link),
        };
        unfit.map_or(Ok(()), |unfit| Err(self.error(unfit)))
    }

    fn unfit(&self, link: &LinkMessage) -> Option<Unfit> {
        match (self.purpose, link::kind_of(link)) {
            (Purpose::Bridge, Some(InfoKind::Bridge)) => None,
            (Purpose::Bridge, Some(kind)) => Some(Unfit::NotABridge(kind.to_string())),
            (Purpose::Bridge, None) => Some(Unfit::NotABridge("physical".to_owned())),
            _ if link.header.flags.contains(LinkFlags::Loopback) => Some(Unfit::Loopback),
            _ => None,
        }
    }

    /// An interface that moves can be used for nothing else.
    fn check_claims(&self, all: &[Want<'_>]) -> Result<(), Error> {
        let claim = all.iter().find(|other| {
            other.interface == self.interface
                && self.purpose == Purpose::Move
                && !std::ptr::eq(*other, self)
        });
        claim.map_or(Ok(()), |claim| {
            Err(self.error(Unfit::Claimed(claim.purpose)))
        })
    }

    fn error(&self, unfit: Unfit) -> Error {
        Error::Unfit {
            interface: self.interface.to_string(),
            purpose: self.purpose,
            unfit,
        }
    }
}

impl Purpose {
    /// Follows "cannot".
    pub(crate) fn action(self, interface: &str) -> String {
        match self {
            Self::Bridge => format!("put the container into bridge {interface}"),
            Self::Macvlan => format!("create a macvlan link on interface {interface}"),
            Self::Ipvlan => format!("create an ipvlan link on interface {interface}"),
            Self::Move => format!("move interface {interface} into the container"),
        }
    }

    /// What another purpose cannot share.
    fn claim(self) -> &'static str {
        match self {
            Self::Bridge => "it is also named as a bridge",
            Self::Macvlan => "it is also named for a macvlan link",
            Self::Ipvlan => "it is also named for an ipvlan link",
            Self::Move => "it is named twice",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{ContainerName, ExtraVeth, HostInterface};

    use super::*;

    fn name(name: &str) -> InterfaceName {
        InterfaceName::new(name).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Spec)) -> Option<String> {
        let container = ContainerName::new("web").unwrap();
        let mut spec = Spec {
            veth: Some(Veth::default()),
            ..Spec::new(container, "/nonexistent")
        };
        change(&mut spec);
        same_name(&plan(&spec)).map(|(side, name)| format!("{name}{side}"))
    }

    #[test]
    fn no_name_is_given_twice() {
        let extra = |inside: &str, host: &str| ExtraVeth {
            name: name(inside),
            host_name: Some(name(host)),
            veth: Veth::default(),
        };
        let on = |inside: &str| HostInterface {
            interface: name("lan0"),
            name: Some(name(inside)),
        };
        assert_eq!(refused(|_| {}), None);
        assert_eq!(
            refused(|spec| spec.extra_veths = vec![extra("a", "b"), extra("b", "a")]),
            None
        );
        assert_eq!(
            refused(|spec| spec.extra_veths = vec![extra("a", "b"), extra("c", "b")]),
            Some("b".to_owned())
        );
        let inside = [
            refused(|spec| spec.extra_veths = vec![extra("eth0", "b")]),
            refused(|spec| spec.macvlans = vec![on("eth0")]),
            refused(|spec| spec.ipvlans = vec![on("eth0")]),
            refused(|spec| spec.interfaces = vec![on("eth0")]),
        ];
        for refused in inside {
            assert_eq!(refused.unwrap(), "eth0 inside the container");
        }
        assert_eq!(
            refused(|spec| spec.macvlans = vec![on("lo")]).unwrap(),
            "lo inside the container"
        );
    }
}
