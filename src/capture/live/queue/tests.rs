use super::*;
use crate::frame::LinkType;
use crate::time::Timestamp;

const NOW: Duration = Duration::ZERO;

fn frame(number: u64, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: Timestamp::from_nanos(i64::try_from(number).unwrap()),
        link_type: LinkType::ETHERNET,
        wire_length: u32::try_from(bytes.len()).unwrap(),
        bytes,
        tap: 0,
        file: 0,
        number,
    }
}

fn numbers(batch: &FrameBatch) -> Vec<u64> {
    batch.frames().map(|frame| frame.number).collect()
}

/// Every taker gets every frame, once and in order.
#[test]
fn all_takers_take_everything() {
    let (mut filler, takers) = queue(4, 2, Arc::default());
    assert!(filler.push(&frame(1, b"one")) && filler.push(&frame(2, b"")));
    filler.hand_on();
    assert!(filler.push(&frame(3, b"three")));
    drop(filler);
    for taker in &takers {
        let first = taker.take(NOW).unwrap();
        assert_eq!(numbers(&first), [1, 2]);
        assert_eq!(first.frames().next().unwrap().bytes, b"one");
        assert_eq!(numbers(&taker.take(NOW).unwrap()), [3]);
        assert_eq!(taker.take(NOW).err(), Some(RecvTimeoutError::Disconnected));
    }
}

/// What finds no room is counted, told of with its times, and costs nothing that is in the queue.
#[test]
fn a_full_queue_drops_the_newest_and_says_so() {
    let counters = Arc::new(Counters::default());
    let (mut filler, takers) = queue(2, 1, Arc::clone(&counters));
    let large = vec![0; FrameBatch::BYTES];
    let taken: Vec<bool> = (1..=4)
        .map(|number| filler.push(&frame(number, &large)))
        .collect();
    assert_eq!(taken, [true, true, false, false]);
    assert_eq!(counters.get().dropped_by_queue, 2);
    // Room comes back when the batch is let go, and not before.
    let batch = takers[0].take(NOW).unwrap();
    assert_eq!(numbers(&batch), [1]);
    assert!(!filler.push(&frame(5, b"")));
    drop(batch);
    assert!(filler.push(&frame(6, b"")));
    filler.hand_on();
    assert_eq!(numbers(&takers[0].take(NOW).unwrap()), [2]);
    let last = takers[0].take(NOW).unwrap();
    assert_eq!(numbers(&last), [6]);
    let at = Timestamp::from_nanos;
    let lost = Lost {
        frames: 3,
        from: at(3),
        until: at(5),
    };
    assert_eq!(last.lost(), [lost]);
    assert_eq!(counters.get().frames, 3);
}

/// One taker that holds on to a batch does not take it from the other.
#[test]
fn a_batch_is_used_again_when_the_last_lets_it_go() {
    let (mut filler, takers) = queue(2, 2, Arc::default());
    for number in 1..=100_u64 {
        assert!(filler.push_patiently(&frame(number, b"x")));
        filler.hand_on();
        let held = takers[0].take(NOW).unwrap();
        let other = takers[1].take(NOW).unwrap();
        assert_eq!(numbers(&held), [number]);
        drop(held);
        assert_eq!(numbers(&other), [number]);
    }
    assert!(filler.made <= 2);
}

/// A stream waits for room; when nobody takes any more, it is told so.
#[test]
fn who_waits_is_not_left_waiting() {
    let (mut filler, takers) = queue(2, 1, Arc::default());
    let large = vec![0; FrameBatch::BYTES];
    let reader = std::thread::spawn(move || {
        let mut pushed = 0_u64;
        while filler.push_patiently(&frame(pushed + 1, &large)) {
            pushed += 1;
        }
        pushed
    });
    let taker = &takers[0];
    for number in 1..=20 {
        let batch = taker.take(Duration::from_secs(60)).unwrap();
        assert_eq!(numbers(&batch), [number]);
    }
    drop(takers);
    assert!(reader.join().unwrap() >= 20);
}

/// Long frames and short ones, and the memory of one that was uncommonly long.
#[test]
fn batches_have_a_size() {
    let mut batch = FrameBatch::default();
    let long = vec![7; 3 * FrameBatch::BYTES];
    assert!(batch.has_room(long.len()));
    batch.push(&frame(1, &long));
    assert!(!batch.has_room(0));
    assert_eq!(batch.frames().next().unwrap().bytes, long);
    batch.clear();
    assert!(batch.is_empty());
    let mut frames = 0;
    while batch.has_room(60) {
        batch.push(&frame(frames, &[1; 60]));
        frames += 1;
    }
    assert!(
        (5_000..=FrameBatch::FRAMES as u64).contains(&frames),
        "{frames}"
    );
    assert_eq!(batch.first_at(10, Timestamp::from_nanos(20)), Some(20));
    assert_eq!(numbers_of(&batch, 3, 5), [3, 4]);
}

fn numbers_of(batch: &FrameBatch, from: usize, to: usize) -> Vec<u64> {
    batch.some(from, to).map(|frame| frame.number).collect()
}
