//! What the manual page prints, section by section.

/// The lines of a section, without those that introduce others.
pub fn lines<'a>(page: &'a str, section: &str) -> Vec<&'a str> {
    let lines = page.lines().skip_while(|line| *line != section).skip(1);
    lines
        .take_while(|line| !is_heading(line))
        .filter(|line| !line.ends_with(':'))
        .collect()
}

/// The page's example of a declarative container, as it stands.
pub fn declaration(page: &str) -> String {
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("containers."));
    let mut declaration = String::new();
    for line in lines {
        declaration.push_str(line);
        declaration.push('\n');
        if declaration.matches('{').count() == declaration.matches('}').count() {
            break;
        }
    }
    declaration
}

fn is_heading(line: &str) -> bool {
    !line.is_empty() && line.chars().all(|c| c.is_ascii_uppercase() || c == ' ')
}

#[test]
fn a_section_ends_at_the_next_heading() {
    let page = "TLDR\nOne\nTwo\nSEE ALSO\nTexts:\nthree\n";
    assert_eq!(lines(page, "TLDR"), ["One", "Two"]);
    assert_eq!(lines(page, "SEE ALSO"), ["three"]);
    assert_eq!(lines(page, "CAVEATS"), Vec::<&str>::new());
}

#[test]
fn a_declaration_ends_with_its_brackets() {
    let page = "like:\ncontainers.a = {\nconfig = {\n};\n};\nmore\n";
    assert_eq!(declaration(page), "containers.a = {\nconfig = {\n};\n};\n");
    assert_eq!(declaration("nothing"), "");
}
