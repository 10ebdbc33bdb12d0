//! What the doctor found, as text: a line for each check, and below a failure what to do. Pure.

use super::output::harmless;
use super::render::wrapped;
use crate::doctor::{Examination, Outcome, Step};

/// How the text is made.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether outcomes are coloured.
    pub in_colour: bool,
    /// The width of the terminal, where there is one.
    pub width: Option<usize>,
}

/// Where what was found begins: after the outcome and the name of the check.
const DETAIL: usize = 28;

/// The steps of an account or of the machine, under its name.
pub fn steps(name: &str, steps: &[Step], style: Style) -> String {
    let lines: String = steps.iter().map(|step| line(step, style)).collect();
    format!("{}\n{lines}", harmless(name))
}

/// How many checks failed, and which.
pub fn sum(examination: &Examination) -> String {
    let failed = |steps: &[Step], name: &str| -> Vec<String> {
        let failed = steps.iter().filter(|step| step.outcome == Outcome::Fail);
        failed.map(|step| format!("{name} {}", step.name)).collect()
    };
    let mut all = failed(&examination.machine, "this machine");
    all.extend(examination.accounts.iter().flat_map(|account| failed(&account.steps, &account.name)));
    let count =
        if all.len() == 1 { "1 check failed".to_owned() } else { format!("{} checks failed", all.len()) };
    format!("{count}: {}", all.join(", "))
}

fn line(step: &Step, style: Style) -> String {
    let (word, colour) = match step.outcome {
        Outcome::Ok => ("ok", "32"),
        Outcome::Warn => ("warn", "33"),
        Outcome::Fail => ("FAIL", "1;31"),
        Outcome::Skipped => ("skip", "2"),
    };
    let head = format!("  {word:<5} {:<18}  ", step.name);
    let took = if step.milliseconds >= 1000 {
        format!(" ({:.1} s)", std::time::Duration::from_millis(step.milliseconds).as_secs_f64())
    } else {
        String::new()
    };
    let detail = format!("{}{took}", harmless(&step.detail));
    let indent = " ".repeat(DETAIL);
    let mut text = wrapped(&detail, &head, &indent, style.width);
    if let Some(advice) = &step.advice {
        text.push_str(&wrapped(
            &harmless(advice),
            &format!("{indent}-> "),
            &format!("{indent}   "),
            style.width,
        ));
    }
    // Coloured last: the codes have no width.
    if style.in_colour { text.replacen(word, &format!("\u{1b}[{colour}m{word}\u{1b}[0m"), 1) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Examined;

    fn step(name: &'static str, outcome: Outcome, advice: Option<&str>) -> Step {
        let advice = advice.map(str::to_owned);
        Step { name, outcome, milliseconds: 1500, detail: format!("about {name}"), advice }
    }

    #[test]
    fn a_failure_stands_with_its_remedy_and_the_sum_names_it() {
        let all = vec![
            step("imap.dns", Outcome::Ok, None),
            step("imap.tcp", Outcome::Fail, Some("check `port`\u{1b}[2J")),
            step("imap.tls", Outcome::Skipped, None),
        ];
        let style = Style { in_colour: false, width: None };
        assert_eq!(
            steps("lab", &all, style),
            "lab\n\
             \x20 ok    imap.dns            about imap.dns (1.5 s)\n\
             \x20 FAIL  imap.tcp            about imap.tcp (1.5 s)\n\
             \x20                           -> check `port`\u{fffd}[2J\n\
             \x20 skip  imap.tls            about imap.tls (1.5 s)\n"
        );
        let examination = Examination::new(Vec::new(), vec![Examined::new("lab", Vec::new(), all)]);
        assert_eq!(sum(&examination), "1 check failed: lab imap.tcp");
    }

    #[test]
    fn lines_fit_the_terminal_and_colour_costs_no_width() {
        let one =
            [step("imap.tcp", Outcome::Fail, Some("words that take more than one line of a narrow screen"))];
        let text = steps("lab", &one, Style { in_colour: false, width: Some(60) });
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let coloured = steps("lab", &one, Style { in_colour: true, width: Some(60) });
        assert_eq!(coloured.replace("\u{1b}[1;31m", "").replace("\u{1b}[0m", ""), text);
    }
}
