//! `JUnit` XML: what build servers read.

use std::fmt::Write as _;

use super::LoadReport;

pub(super) fn suite(report: &LoadReport) -> String {
    let tester = (!report.verdict.tester_behind.is_empty()).then(|| report.verdict.tester_behind.join("; "));
    let complete = report.verdict.cut_short.clone();
    let mut cases: Vec<(String, Option<String>)> = report
        .thresholds
        .iter()
        .map(|judged| {
            let value = judged.value.as_deref().unwrap_or("nothing was measured");
            (
                judged.name.clone(),
                (!judged.passed).then(|| format!("{value}, at most {}", judged.limit)),
            )
        })
        .collect();
    cases.push(("tester_kept_up".to_owned(), tester));
    cases.push(("ran_to_its_end".to_owned(), complete));
    let failures = cases.iter().filter(|(_, failure)| failure.is_some()).count();
    let name = escape(&report.scenario.name);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        xml,
        "<testsuite name=\"load {name}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{}\" timestamp=\"{}\">",
        cases.len(),
        report.seconds,
        report.started
    );
    for (case, failure) in cases {
        let case = escape(&case);
        let _ = match failure {
            None => writeln!(xml, "  <testcase classname=\"{name}\" name=\"{case}\"/>"),
            Some(failure) => writeln!(
                xml,
                "  <testcase classname=\"{name}\" name=\"{case}\"><failure message=\"{}\"/></testcase>",
                escape(&failure)
            ),
        };
    }
    let _ = writeln!(
        xml,
        "  <system-out>{}</system-out>\n</testsuite>",
        escape(&report.verdict.sentence)
    );
    xml
}

/// For text and for attribute values.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no way to say the others.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_failed_threshold_is_a_failed_case() {
        let mut report = report(Duration::from_millis(5), 3_000);
        report.scenario.name = "a<b>\"&".to_owned();
        let xml = suite(&report);
        assert!(xml.contains("failures=\"1\""), "{xml}");
        assert!(
            xml.contains("name=\"loss\"><failure message=\"10.000%, at most 0.1%\"/>"),
            "{xml}"
        );
        assert!(xml.contains("a&lt;b&gt;&quot;&amp;") && !xml.contains("a<b>"));
    }
}
