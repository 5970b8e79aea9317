//! An event is its line: the line alone shows kind, author and text.

use super::client::{self, Line, is_harmful};
use crate::{Batch, Delivery, Hub, HubConfig, Name};

const MAX_TEXT: usize = 256;

/// Checks an input: a name, another name and a text, separated by line feeds.
pub fn check(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let [name, new, text] =
        [(); 3].map(|()| String::from_utf8_lossy(parts.next().unwrap_or_default()));
    let Ok(name) = Name::assigned(&name) else {
        return;
    };

    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, MAX_TEXT);
    let hub = Hub::new(config);
    let observe = |name| {
        let name = Name::assigned(name).expect("the name obeys the rules");
        hub.join(name).expect("no other observer has this name")
    };
    let mut observers = [observe("observer:1"), observe("observer:2")];
    assert!(observers[0].try_recv().is_ok(), "the other one has arrived");
    let Ok(member) = hub.join(name.clone()) else {
        return;
    };

    let safe: String = text.chars().filter(|c| !is_harmful(*c)).collect();
    // Characters that the hub removes count.
    let fits = text.len() <= MAX_TEXT;
    let mut expected = vec![Line::Arrived {
        name: name.as_str(),
    }];
    let publish = |author| {
        assert_eq!(member.publish(&text).is_ok(), fits);
        fits.then_some(Line::Message {
            author,
            text: &safe,
        })
    };
    expected.extend(publish(name.as_str()));
    let new = Name::assigned(&new).unwrap_or_else(|_| name.clone());
    let mut now = name.as_str();
    if hub.rename(member.id(), new.clone()).is_ok() && new != name {
        expected.push(Line::Renamed {
            old: now,
            new: new.as_str(),
        });
        now = new.as_str();
    }
    expected.extend(publish(now));
    assert!(hub.leave(member.id()).is_ok());
    expected.push(Line::Left { name: now });

    let [one_by_one, all_at_once] = &mut observers;
    for expected in &expected {
        let Ok(Delivery::Event(event)) = one_by_one.try_recv() else {
            panic!("no event for {expected:?}");
        };
        assert_eq!(Line::of(&event), *expected);
        assert_eq!(client::read(event.line()), *expected);
    }
    assert!(one_by_one.try_recv().is_err());

    let mut batch = Batch::default();
    assert_eq!(all_at_once.try_recv_many(&mut batch), Ok(expected.len()));
    let events = batch.iter().map(|delivery| match delivery {
        Delivery::Event(event) => event,
        other => panic!("{other:?}"),
    });
    let lines = batch.lines().split_terminator('\n');
    assert!(events.map(|event| event.to_string()).eq(lines.clone()));
    assert!(lines.map(client::read).eq(expected));
}
