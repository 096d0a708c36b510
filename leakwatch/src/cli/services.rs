//! `services`: replicas of one program side by side, and the odd one out.

use crate::cli::args::ServicesArgs;
use crate::cli::client::Client;
use crate::cli::client::encoded;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::list;
use crate::cli::output::Output;
use crate::cli::text;
use crate::dto::page::Page;
use crate::dto::run::RunBody;
use crate::dto::service::ServiceBody;

pub(crate) async fn run(client: &Client, args: &ServicesArgs, output: Output) -> Result<Exit, CliError> {
    if let Some(name) = args.name.as_ref().filter(|_| args.runs) {
        let path = format!("/api/v1/services/{}/runs", encoded(name));
        let page: Page<RunBody> = list::all(client, &path, &[], args.limit).await?;
        if output.is_json() {
            return output.json(&page);
        }
        list::note_losses(output, &page.losses);
        return output.text(&runs(&page.items));
    }
    if let Some(name) = &args.name {
        let service: ServiceBody = client.get(&format!("/api/v1/services/{}", encoded(name))).await?;
        if output.is_json() {
            return output.json(&service);
        }
        list::note_losses(output, &service.losses);
        return output.text(&replicas(&service));
    }
    let page: Page<ServiceBody> = list::all(client, "/api/v1/services", &[], usize::MAX).await?;
    if output.is_json() {
        return output.json(&page);
    }
    list::note_losses(output, &page.losses);
    output.text(&table(&page.items))
}

/// A line for each service.
pub(crate) fn table(services: &[ServiceBody]) -> String {
    let header = ["SERVICE", "REPLICAS", "CHARGE", "GROWTH", "KILLS", "OUTLIER"];
    let rows = services.iter().map(|service| {
        let outlier = service.replicas.iter().find(|replica| replica.outlier);
        // What is not known of one is not known of all.
        let charge: Option<u64> = service.replicas.iter().map(|replica| replica.charge_bytes).sum();
        let growth: Option<f64> = service
            .replicas
            .iter()
            .map(|replica| replica.growth_bytes_per_second)
            .sum();
        let kills: u64 = service.replicas.iter().map(|replica| replica.oom_kills).sum();
        vec![
            service.name.clone(),
            service.replicas.len().to_string(),
            text::size(charge),
            text::rate(growth),
            kills.to_string(),
            outlier.map_or_else(|| text::NONE.to_owned(), |replica| replica.name.clone()),
        ]
    });
    text::table(&header, &["REPLICAS", "CHARGE", "GROWTH", "KILLS"], rows)
}

/// A line for each run.
pub(crate) fn runs(runs: &[RunBody]) -> String {
    let header = ["STARTED", "RAN", "END", "PEAK", "LAST", "LIMIT", "VERSION", "TARGET"];
    let none = || text::NONE.to_owned();
    let rows = runs.iter().map(|run| {
        let last = run.memory_bytes.iter().rev().find_map(|memory| *memory);
        // The start of a build id tells it from others.
        let version = run.version.as_ref().map(|version| version.chars().take(12).collect());
        vec![
            run.started_at.to_string(),
            text::time(run.seconds),
            run.ended_by.clone().unwrap_or_else(|| "runs".to_owned()),
            text::size(run.peak_bytes),
            text::size(last),
            text::size(run.limit_bytes),
            version.unwrap_or_else(none),
            run.target.clone().unwrap_or_else(none),
        ]
    });
    text::table(&header, &["RAN", "PEAK", "LAST", "LIMIT"], rows)
}

fn replicas(service: &ServiceBody) -> String {
    let header = ["TARGET", "NAME", "CHARGE", "GROWTH", "VERDICT", "KILLS", ""];
    let rows = service.replicas.iter().map(|replica| {
        vec![
            replica.target.clone(),
            replica.name.clone(),
            text::size(replica.charge_bytes),
            text::rate(replica.growth_bytes_per_second),
            replica.verdict.clone().unwrap_or_else(|| text::NONE.to_owned()),
            replica.oom_kills.to_string(),
            if replica.outlier { "outlier" } else { "" }.to_owned(),
        ]
    });
    let table = text::table(&header, &["CHARGE", "GROWTH", "KILLS"], rows);
    let because = service.outlier.as_ref().map_or_else(String::new, |outlier| {
        text::paragraph("\nthe outlier: ", "", &text::one_line(&outlier.because))
    });
    table + &because
}
