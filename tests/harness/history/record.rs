//! The record of a member: all items that it has received.

use chat_core::{Batch, Delivery, Event, LeaveReason, Member, MemberId, Subscriber, TryRecvError};
use tokio_stream::StreamExt;

/// The ways to wait for the items of a member.
#[derive(Clone, Copy, Debug)]
pub enum ReadMethod {
    /// `Member::recv`.
    Recv,
    /// The `Stream` of a member.
    Stream,
    /// `Member::recv_many`.
    RecvMany,
}

impl ReadMethod {
    /// One of the methods; consecutive numbers give different ones.
    pub fn nth(number: usize) -> Self {
        [Self::Recv, Self::Stream, Self::RecvMany][number % 3]
    }
}

/// All items that one member has received.
#[derive(Clone, Debug)]
pub struct Record {
    pub(super) member: String,
    /// The id, unless it is the record of a subscriber.
    pub(super) id: Option<MemberId>,
    pub(super) from: u64,
    pub(super) items: Vec<Delivery>,
}

impl Record {
    /// A record of a member that has not read anything yet.
    pub fn of(member: &Member) -> Self {
        Self {
            member: format!("{:?}", member.id()),
            id: Some(member.id()),
            from: member.position().number,
            items: Vec::new(),
        }
    }

    /// A record of a subscriber that has not read anything yet.
    pub fn of_subscriber(subscriber: &Subscriber) -> Self {
        Self {
            member: "a subscriber".into(),
            id: None,
            from: subscriber.position().number,
            items: Vec::new(),
        }
    }

    /// Appends the next item.
    pub fn push(&mut self, delivery: Delivery) {
        self.items.push(delivery);
    }

    /// Appends all items of a batch.
    pub fn push_batch(&mut self, batch: &Batch) {
        self.items.extend(owned_items(batch));
    }

    /// Reads all available items one by one.
    pub fn catch_up(&mut self, member: &mut Member) -> TryRecvError {
        self.catch_up_with(|| member.try_recv())
    }

    /// Reads all available items of a member or subscriber.
    pub fn catch_up_with(
        &mut self,
        mut read: impl FnMut() -> Result<Delivery, TryRecvError>,
    ) -> TryRecvError {
        loop {
            match read() {
                Ok(delivery) => self.push(delivery),
                Err(reason) => return reason,
            }
        }
    }

    /// Reads all available items in batches.
    pub fn catch_up_in_batches(&mut self, member: &mut Member, batch: &mut Batch) -> TryRecvError {
        loop {
            match member.try_recv_many(batch) {
                Ok(_) => self.push_batch(batch),
                Err(reason) => return reason,
            }
        }
    }

    /// Reads one by one until the stream has ended.
    pub async fn read_to_end(&mut self, member: &mut Member) {
        self.read_to_end_with(ReadMethod::Recv, member).await;
    }

    /// Reads with this method until the stream has ended.
    pub async fn read_to_end_with(&mut self, method: ReadMethod, member: &mut Member) {
        match method {
            ReadMethod::Recv => {
                while let Some(delivery) = member.recv().await {
                    self.push(delivery);
                }
            }
            ReadMethod::Stream => {
                while let Some(delivery) = member.next().await {
                    self.push(delivery);
                }
            }
            ReadMethod::RecvMany => {
                let mut batch = Batch::default();
                while member.recv_many(&mut batch).await > 0 {
                    self.push_batch(&batch);
                }
                assert!(batch.is_empty());
            }
        }
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.items.iter().filter_map(|item| match item {
            Delivery::Event(event) => Some(event),
            _ => None,
        })
    }

    /// The lines of the events, in order.
    pub fn lines(&self) -> Vec<&str> {
        self.events().map(Event::line).collect()
    }

    /// How many events the gaps cover.
    pub fn missed(&self) -> u64 {
        let missed = |item: &_| match item {
            Delivery::Gap { missed } => *missed,
            _ => 0,
        };
        self.items.iter().map(missed).sum()
    }

    /// How many gaps there are.
    pub fn gaps(&self) -> usize {
        let is_gap = |item: &&_| matches!(item, Delivery::Gap { .. });
        self.items.iter().filter(is_gap).count()
    }

    /// How many events there are.
    pub fn delivered(&self) -> u64 {
        self.events().count() as u64
    }

    /// The number after the last event or gap.
    pub fn next(&self) -> u64 {
        self.from + self.delivered() + self.missed()
    }

    /// The reason of the end, if the stream has ended.
    pub fn closed(&self) -> Option<LeaveReason> {
        match self.items.last() {
            Some(Delivery::Closed(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// Checks the promises that concern a single record.
    ///
    /// # Errors
    ///
    /// If a promise is broken; the message names it and the item.
    pub fn check(&self) -> Result<(), String> {
        let mut next = self.from;
        for (at, item) in self.items.iter().enumerate() {
            let broken = |what| Err(format!("{}, item {at}, {item:?}: {what}", self.member));
            match item {
                Delivery::Event(event) if event.seq() != next => {
                    return broken(format!("number {next} was expected"));
                }
                Delivery::Event(_) => next += 1,
                Delivery::Gap { missed: 0 } => return broken("an empty gap".into()),
                // Consecutive gaps are correct: the member was overrun again before its next read.
                Delivery::Gap { missed } => next += missed,
                Delivery::Closed(_) if at + 1 < self.items.len() => {
                    return broken("an item after the end".into());
                }
                // It has no number.
                Delivery::Closed(_) | Delivery::Direct(_) => {}
                other => return broken(format!("{other:?} is unknown here")),
            }
        }
        Ok(())
    }
}

/// The items of a batch with owned lines.
pub fn owned_items(batch: &Batch) -> impl Iterator<Item = Delivery> {
    batch.iter().map(|item| match item {
        Delivery::Event(event) => Delivery::Event(event.to_owned()),
        Delivery::Gap { missed } => Delivery::Gap { missed },
        Delivery::Direct(direct) => Delivery::Direct(direct.clone()),
        Delivery::Closed(reason) => Delivery::Closed(reason),
        other => panic!("{other:?} is unknown here"),
    })
}
