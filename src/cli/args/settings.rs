//! The options of `create` that are settings of `NAME.conf`, each written once.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::settings::{Place, Setting};

/// An option, and the setting that it makes.
struct Row {
    option: &'static str,
    value_name: &'static str,
    help: &'static str,
    place: Place,
    /// The value in the file.
    value: fn(&str) -> String,
}

const fn row(
    option: &'static str,
    value_name: &'static str,
    place: Place,
    help: &'static str,
) -> Row {
    Row {
        option,
        value_name,
        help,
        place,
        value: str::to_owned,
    }
}

const ROWS: [Row; 12] = [
    row(
        "bind",
        "SOURCE[:TARGET[:OPTIONS]]",
        Place::Flag("--bind"),
        "Show a file or directory of the host in the container, at the same path unless there is \
         a target",
    ),
    row(
        "bind-ro",
        "SOURCE[:TARGET[:OPTIONS]]",
        Place::Flag("--bind-ro"),
        "The same, read-only",
    ),
    row(
        "tmpfs",
        "PATH[:OPTIONS]",
        Place::List("TMPFS", " "),
        "Mount a file system in memory on a directory of the container",
    ),
    row(
        "device",
        "DEVICE [ACCESS]",
        Place::List("ALLOWED_DEVICES", ","),
        "Let the container use devices of the host: a node or the name of a driver, as \
         '/dev/fuse rwm' or 'char-input r'",
    ),
    row(
        "private-users",
        "USERS",
        Place::Key("PRIVATE_USERS"),
        "The users of the container: no, yes, identity, pick, or the first user id on the host",
    ),
    row(
        "capability",
        "NAME[,…]",
        Place::List("ADDITIONAL_CAPABILITIES", ","),
        "Capabilities in addition to the usual ones, as CAP_SYS_TIME",
    ),
    row(
        "memory",
        "BYTES",
        Place::Key("MEMORY_MAX"),
        "The most memory, as 2G or 50%",
    ),
    Row {
        value: percentage,
        ..row(
            "cpus",
            "NUMBER",
            Place::Key("CPU_QUOTA"),
            "The most processor time, as that of 1.5 processors, or 150%",
        )
    },
    row(
        "tasks",
        "NUMBER",
        Place::Key("TASKS_MAX"),
        "The most processes and threads",
    ),
    row(
        "env",
        "NAME=VALUE",
        Place::Flag("--setenv"),
        "Set an environment variable of the container's init",
    ),
    row(
        "hostname",
        "NAME",
        Place::Flag("--hostname"),
        "The host name, where the system does not set one [default: the container's name]",
    ),
    row(
        "nspawn-flag",
        "FLAGS",
        Place::Flags,
        "Flags of systemd-nspawn(1), as --nspawn-flag=--read-only",
    ),
];

/// A number of processors as a percentage of one; other texts as they are.
fn percentage(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => format!("{:.0}%", number * 100.0),
        _ => text.to_owned(),
    }
}

impl Row {
    fn argument(&self) -> Arg {
        let (place, value) = (self.place, self.value);
        let action = match place {
            Place::Flag("--hostname") | Place::Key(_) => ArgAction::Set,
            _ => ArgAction::Append,
        };
        Arg::new(self.option)
            .long(self.option)
            .value_name(self.value_name)
            .help(self.help)
            .help_heading("Settings (man nixos-container.conf)")
            .action(action)
            .allow_hyphen_values(place == Place::Flags)
            .value_parser(move |text: &str| Setting::new(place, &value(text)))
    }
}

/// The settings that options make.
#[derive(Debug, Default)]
pub struct Settings(pub Vec<Setting>);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(ROWS.iter().map(Row::argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = ROWS.iter().filter_map(|row| matches.get_many(row.option));
        Ok(Self(given.flatten().cloned().collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_percentages() {
        for (text, expected) in [("1.5", "150%"), ("2", "200%"), ("50%", "50%"), ("x", "x")] {
            assert_eq!(percentage(text), expected);
        }
    }
}
