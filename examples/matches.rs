//! A hub per match: thousands of small, short-lived hubs in one program, as a game server has.
//!
//! ```console
//! $ cargo run --release --example matches
//! round 1
//!   open: 35.9 MiB in all, 3.4 KiB more per match
//!   played: 54.8 MiB in all, 5.3 KiB more per match
//!   ended: 54.5 MiB in all, 5.3 KiB more per match
//! round 2
//!   open: 54.5 MiB in all, 0.0 KiB more per match
//! ...
//! ```
//!
//! Plays 10,000 matches at a time, four times over, and prints what the hubs take of the process's
//! memory (Linux). The memory of the rounds before is used again.

use chat_core::{Delivery, Hub, HubConfig, LeaveReason, Member, Name};
use std::error::Error;
use std::process::ExitCode;

const MATCHES: usize = 10_000;
const ROUNDS: usize = 4;
const MOVES: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let names = [Name::assigned("white")?, Name::assigned("black")?];
    for round in 1..=ROUNDS {
        println!("round {round}");
        let before = resident_kib();
        let mut matches: Vec<_> = (0..MATCHES).map(|_| Match::new()).collect();
        report("open", before);
        for game in &mut matches {
            game.play(&names)?;
        }
        report("played", before);
        let lines: usize = matches.iter_mut().map(Match::end).sum();
        assert_eq!(lines, MATCHES * (2 * MOVES + 1)); // the moves, and the arrival of black
        drop(matches);
        report("ended", before);
    }
    Ok(())
}

/// One match: a hub, its players, and a reader that is not in the roster.
struct Match {
    hub: Hub,
    players: Vec<Member>,
}

impl Match {
    fn new() -> Self {
        Self {
            // The default: memory is taken as it is used, so the limit of 8 MiB costs nothing.
            hub: Hub::new(HubConfig::default()),
            players: Vec::new(),
        }
    }

    fn play(&mut self, names: &[Name]) -> Result<(), Box<dyn Error>> {
        for name in names {
            self.players.push(self.hub.join(name.clone())?);
        }
        for number in 0..MOVES {
            for player in &self.players {
                player.publish(&format!("move {number}"))?;
            }
        }
        Ok(())
    }

    /// Ends the match, and gives how many events its first player saw.
    fn end(&mut self) -> usize {
        self.hub.close();
        let mut seen = 0;
        let Some(player) = self.players.first_mut() else {
            return seen;
        };
        while let Ok(delivery) = player.try_recv() {
            match delivery {
                Delivery::Event(_) => seen += 1,
                Delivery::Closed(reason) => assert_eq!(reason, LeaveReason::Closed),
                _ => {}
            }
        }
        seen
    }
}

fn report(what: &str, before: Option<u64>) {
    if let (Some(before), Some(now)) = (before, resident_kib()) {
        let each = now.saturating_sub(before) as f64 / MATCHES as f64;
        println!(
            "  {what}: {:.1} MiB in all, {each:.1} KiB more per match",
            now as f64 / 1024.0
        );
    }
}

/// The memory that the process has, where the system reports it.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
