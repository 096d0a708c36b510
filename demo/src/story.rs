//! Follows the daemon as a user would, through its API alone, and tells what it says as it unfolds. What a user cannot know, the
//! truth of the roles, is not used here.

use crate::narrator::Narrator;
use crate::stage::Actor;
use crate::stage::Stage;
use anyhow::Result;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

/// The demo ends here, whatever has been reached.
const DEADLINE: Duration = Duration::from_secs(270);
/// How often the API is asked.
const ROUND: Duration = Duration::from_secs(1);
/// How often the numbers of all services are printed.
const TABLE: Duration = Duration::from_secs(20);
/// A verdict or an odd replica counts once it has been the same for this many rounds.
const SETTLED_ROUNDS: u32 = 5;

/// A forecast, to be compared with what happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forecast {
    /// When it was made.
    pub(crate) at: Instant,
    /// Seconds until the limit, median.
    pub(crate) p50: f64,
}

/// What was said last, and for how many rounds.
#[derive(Debug, Default)]
pub(crate) struct Word {
    pub(crate) word: String,
    rounds: u32,
}

impl Word {
    /// Takes in what is said in this round; true in the round in which it has settled.
    fn hear(&mut self, word: &str) -> bool {
        if self.word == word {
            self.rounds += 1;
        } else {
            *self = Self {
                word: word.to_owned(),
                rounds: 1,
            };
        }
        self.rounds == SETTLED_ROUNDS
    }

    fn is_settled(&self) -> bool {
        self.rounds >= SETTLED_ROUNDS
    }
}

/// What leakwatch has said about one service.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Opaque id of the target.
    pub(crate) target: String,
    /// Every class it ever named.
    pub(crate) classes: BTreeSet<String>,
    /// Its newest verdict, or the last before the kill of a service that is not started again.
    pub(crate) verdict: Value,
    /// The forecast at half of the head-room.
    pub(crate) half_way: Option<Forecast>,
    /// Post-mortem of the first OOM kill.
    pub(crate) post_mortem: Option<Value>,
    class: Word,
    walked: bool,
    first_charge: Option<f64>,
    forecast_told: bool,
}

/// The accounts by name of the role, and the outlier by service.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// By name of the role.
    pub(crate) accounts: BTreeMap<&'static str, Account>,
    /// Target id of the odd replica by service, the last one named.
    pub(crate) outliers: BTreeMap<&'static str, Word>,
}

impl Story {
    /// Follows the stage until `complete` says that all is told, or the deadline.
    pub(crate) fn follow(
        &mut self,
        stage: &mut Stage,
        narrator: &Narrator,
        complete: impl Fn(&Self, &[Actor]) -> bool,
    ) -> Result<()> {
        for actor in &stage.actors {
            let target = stage.daemon.wait_target(actor.cgroup.path())?;
            self.accounts.entry(actor.role.name).or_default().target = target;
        }
        let (start, mut round, mut table) = (Instant::now(), Instant::now(), Instant::now());
        wait_until("the end of the story", DEADLINE + ROUND, || {
            for actor in &mut stage.actors {
                actor.supervise()?;
            }
            if round.elapsed() < ROUND {
                return Ok(None);
            }
            round = Instant::now();
            self.ask(stage, narrator)?;
            if table.elapsed() >= TABLE {
                table = Instant::now();
                narrator.table(&stage.daemon, &stage.actors)?;
            }
            let ends = complete(self, &stage.actors) || start.elapsed() > DEADLINE;
            Ok(ends.then_some(()))
        })
    }

    fn ask(&mut self, stage: &Stage, narrator: &Narrator) -> Result<()> {
        let services: BTreeSet<&'static str> = stage.actors.iter().map(|actor| actor.role.service).collect();
        for service in services {
            self.ask_for_outlier(service, stage, narrator)?;
        }
        for actor in &stage.actors {
            let Some(account) = self.accounts.get_mut(actor.role.name) else {
                continue;
            };
            let lives = actor.process.is_some();
            if lives {
                account.ask_for_investigation(actor, &stage.daemon, narrator)?;
            }
            if account.post_mortem.is_none() && actor.first_end.is_some() {
                account.ask_for_post_mortem(actor, &stage.daemon, narrator)?;
            }
        }
        Ok(())
    }

    fn ask_for_outlier(&mut self, service: &'static str, stage: &Stage, narrator: &Narrator) -> Result<()> {
        let answer = stage.daemon.client().get(&format!("/api/v1/services/{service}"))?;
        if answer.status != 200 {
            return Ok(()); // Not known yet, or gone with its only replica.
        }
        let body: Value = serde_json::from_slice(&answer.body)?;
        let Some(outlier) = body.get("outlier").filter(|outlier| outlier.is_object()) else {
            return Ok(());
        };
        let (target, because) = (text(outlier, "target"), text(outlier, "because"));
        let named = self.outliers.entry(service).or_default();
        if named.hear(target) {
            let mut accounts = self.accounts.iter();
            let name = accounts.find_map(|(name, account)| (account.target == target).then_some(*name));
            narrator.say(
                service,
                &format!("the odd replica is {}: it {because}", name.unwrap_or(target)),
            );
        }
        Ok(())
    }
}

impl Account {
    /// Whether its newest verdict has stood for a while.
    pub(crate) fn is_settled(&self) -> bool {
        self.class.is_settled()
    }

    fn ask_for_investigation(&mut self, actor: &Actor, daemon: &Daemon, narrator: &Narrator) -> Result<()> {
        let investigation = daemon.investigation(&self.target)?;
        let name = actor.role.name;
        let steps = investigation
            .get("steps")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let verdict = investigation.get("verdict").cloned().unwrap_or_default();
        let class = text(&verdict, "class");
        if self.class.hear(class) && class != "not_enough_data" {
            // Of a leak the way to the verdict is shown, question by question; of the others the verdict says it all.
            if verdict.get("culprit").is_some_and(Value::is_object) && !self.walked {
                self.walked = true;
                narrator.walk(name, steps);
            }
            narrator.verdict(name, &verdict);
        }
        self.classes.insert(text(&verdict, "class").to_owned());
        self.note_forecast(actor, &verdict, narrator)?;
        self.verdict = verdict;
        Ok(())
    }

    fn note_forecast(&mut self, actor: &Actor, verdict: &Value, narrator: &Narrator) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53 bytes")]
        let (charge, limit) = (actor.cgroup.charge()? as f64, actor.role.limit as f64);
        let first = *self.first_charge.get_or_insert(charge);
        let p50 = verdict.pointer("/time_to_limit_seconds/p50").and_then(Value::as_f64);
        let (Some(p50), "go_heap_leak" | "goroutine_leak" | "growing") = (p50, text(verdict, "class")) else {
            return Ok(());
        };
        let quantile = |name: &str| {
            let value = verdict
                .pointer(&format!("/time_to_limit_seconds/{name}"))
                .and_then(Value::as_f64);
            value.map_or("?".to_owned(), |seconds| format!("{seconds:.0}"))
        };
        let told = format!(
            "out of memory in {p50:.0} s (between {} and {} s)",
            quantile("p10"),
            quantile("p90")
        );
        if !self.forecast_told {
            self.forecast_told = true;
            narrator.say(actor.role.name, &told);
        }
        if self.half_way.is_none() && charge - first >= (limit - first) / 2.0 {
            self.half_way = Some(Forecast {
                at: Instant::now(),
                p50,
            });
            narrator.say(actor.role.name, &format!("half of the head-room is used: {told}"));
        }
        Ok(())
    }

    fn ask_for_post_mortem(&mut self, actor: &Actor, daemon: &Daemon, narrator: &Narrator) -> Result<()> {
        let Some(post_mortem) = daemon.post_mortem(&self.target)? else {
            return Ok(());
        };
        // What the kernel read is on its way.
        if text(&post_mortem["at_death"], "heap") == "pending" {
            return Ok(());
        }
        if actor.role.leaks() {
            narrator.post_mortem(actor.role.name, &post_mortem);
        } else {
            narrator.say(
                actor.role.name,
                "killed for lack of memory; its supervisor starts it again",
            );
        }
        self.post_mortem = Some(post_mortem);
        Ok(())
    }
}
