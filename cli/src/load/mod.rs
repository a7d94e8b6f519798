//! `greffier load`: how many meetings a server carries, how good they are, and where it breaks.

mod live;
mod run;
mod said;
mod worker;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::CellAlignment;
use greffier_agent::load::Scenario;
use greffier_agent::load::report::{LoadReport, Significance, compare};
use greffier_store::LoadTestId;

use crate::client::{Client, ServerArgs};
use crate::config::Config;
use crate::show;

pub use worker::worker;

/// Load a LiveKit server with synthetic participants, and see how good their meetings are.
///
/// Exit codes: 0 all thresholds held; 1 the test could not be run; 2 wrong arguments; 3 a threshold did not hold, or a
/// comparison found something worse; 4 it did not run to its end; 5 the tester was the bottleneck.
#[derive(Debug, Args)]
pub struct Load {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run a scenario.
    Run(Box<run::Run>),
    /// Show what got worse between two results, with significance and not just difference.
    Compare {
        /// The first test: a JSON file, or the id of one that the server ran (`load_…`).
        before: String,
        /// The second.
        after: String,
        #[command(flatten)]
        server: ServerArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the templates, or print one to start from.
    Templates {
        /// The template to print.
        name: Option<String>,
    },
}

impl Load {
    /// `configured` reads the configuration, for what no flag says.
    ///
    /// # Errors
    /// When the scenario is wrong, the server cannot be used, or a file cannot be written.
    pub fn run(self, configured: impl Fn() -> anyhow::Result<Config>) -> anyhow::Result<ExitCode> {
        let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
        match self.what {
            What::Run(run) => runtime()?.block_on(run.run(configured)),
            What::Compare {
                before,
                after,
                server,
                json,
            } => {
                let result = async |name: &str| result_of(name, &server, &configured).await;
                let (before, after) =
                    runtime()?.block_on(async { anyhow::Ok((result(&before).await?, result(&after).await?)) })?;
                print_comparison(&before, &after, json)
            }
            What::Templates { name } => print_templates(name.as_deref()),
        }
    }
}

/// The result in a file, or of a test that the server ran.
async fn result_of(
    name: &str,
    server: &ServerArgs,
    configured: impl Fn() -> anyhow::Result<Config>,
) -> anyhow::Result<LoadReport> {
    let path = Path::new(name);
    let id: Option<LoadTestId> = name.parse().ok();
    match id.filter(|_| !path.is_file()) {
        Some(id) => {
            let client = Client::new(server, &configured()?)?;
            client.get(&format!("/api/loadtests/{id}/result.json")).await
        }
        None => Ok(LoadReport::load(path)?),
    }
}

fn print_comparison(before: &LoadReport, after: &LoadReport, json: bool) -> anyhow::Result<ExitCode> {
    let comparison = compare(before, after);
    if json {
        show::line(serde_json::to_string_pretty(&comparison)?);
    } else {
        let mut table = show::table(&["", "before", "after", "change", "p", ""]);
        for change in &comparison.changes {
            let word = match (change.significance, change.is_beside_the_point) {
                (Significance::Same, _) => "",
                (Significance::Better, _) => "better",
                (Significance::Worse, false) => "WORSE",
                (Significance::Worse, true) => "more",
                (Significance::Gone, _) => "GONE: not measured any more",
                (Significance::New, _) => "not measured before",
            };
            let difference = match (change.before, change.after) {
                (Some(before), Some(after)) if before != 0.0 => {
                    format!("{:+.1} %", (after - before) / before.abs() * 100.0)
                }
                _ => String::new(),
            };
            let value =
                |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2} {}", change.unit));
            table.add_row([
                change.name.clone(),
                value(change.before),
                value(change.after),
                difference,
                if change.p < 1e-4 {
                    "<0.0001".to_owned()
                } else {
                    format!("{:.4}", change.p)
                },
                word.to_owned(),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        show::line(table);
        comparison
            .warnings
            .iter()
            .for_each(|warning| show::note(format_args!("beware: {warning}")));
    }
    Ok(if comparison.got_worse() {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}

fn print_templates(name: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(name) = name else {
        let mut table = show::table(&["template", "rooms", "participants", ""]);
        for (name, _) in Scenario::templates() {
            let scenario = Scenario::load(name)?;
            let (rooms, all) = (
                scenario.rooms.get().to_string(),
                scenario.participants_in_all().to_string(),
            );
            table.add_row([name.to_owned(), rooms, all, scenario.description]);
        }
        show::line(table);
        return Ok(ExitCode::SUCCESS);
    };
    let Some((_, text)) = Scenario::templates().find(|(template, _)| *template == name) else {
        let names: Vec<&str> = Scenario::templates().map(|(name, _)| name).collect();
        anyhow::bail!("there is no template `{name}`; there are {}", names.join(", "));
    };
    show::line(text.trim_end());
    Ok(ExitCode::SUCCESS)
}
