//! What the manual's chapter prints: its markup undone, and the commands that
//! it has the reader type.

/// A text in reStructuredText with its markup undone: roles, links and
/// backslashes before characters that would mean something without.
pub fn without_markup(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some((name, after)) = option(rest) {
            plain.push_str(name);
            rest = after;
            continue;
        }
        rest = &rest[character.len_utf8()..];
        match (character, rest.chars().next()) {
            ('\\', Some(escaped)) => {
                plain.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
            _ => plain.push(character),
        }
    }
    plain
}

/// The name of a NixOS option that a text begins with as a role,
/// `` :ref:`opt-NAME` ``, or as a link, `` `NAME <None>`_ ``, and what follows.
fn option(text: &str) -> Option<(&str, &str)> {
    let role = || text.strip_prefix(":ref:`opt-")?.split_once('`');
    let link = || {
        let (name, rest) = text.strip_prefix('`')?.split_once(" <None>`_")?;
        (!name.contains('`')).then_some((name, rest))
    };
    role().or_else(link)
}

/// The commands of root's in a text without markup, in their order and as a
/// shell takes them. One begins with `# ` and goes on while a quote is open or
/// its line ends in a backslash.
pub fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("# ") else {
            continue;
        };
        let mut command = first.to_owned();
        while is_open(&command) {
            let Some(line) = lines.next() else { break };
            command.push('\n');
            command.push_str(line);
        }
        commands.push(command);
    }
    commands
}

fn is_open(command: &str) -> bool {
    command.ends_with('\\') || command.matches('\'').count() % 2 == 1
}

#[test]
fn markup_is_undone_and_all_else_left() {
    for (marked, plain) in [
        (":ref:`opt-a.b.enable` = true;", "a.b.enable = true;"),
        ("`a.keys <None>`_ = \\[\"…\"];", "a.keys = [\"…\"];"),
        ("create \\\\\n--local-address", "create \\\n--local-address"),
        ("Password: \\***", "Password: ***"),
        ("a ` and `b` stay", "a ` and `b` stay"),
        ("ends in \\", "ends in \\"),
    ] {
        assert_eq!(without_markup(marked), plain);
    }
}

#[test]
fn commands_go_on_in_quotes_and_after_a_backslash() {
    let text = "Text\n# one '\na # b\n# c'\nanswer\n# two \\\nmore\n#none\n# three";
    assert_eq!(
        commands(text),
        ["one '\na # b\n# c'", "two \\\nmore", "three"]
    );
}
