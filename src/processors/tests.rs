use std::time::Duration;

use super::*;

/// The threads of this process that keep a processor awake, with their policy.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
    let stat = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat")).ok();
    tasks
        .filter_map(|task| stat(task.ok()?))
        .filter(|stat| stat.contains("(awake "))
        // Field 41 of proc_pid_stat(5), the second one being the name.
        .filter_map(|stat| {
            Some(
                stat.rsplit_once(')')?
                    .1
                    .split_whitespace()
                    .nth(38)?
                    .to_owned(),
            )
        })
        .collect()
}

fn wait_for(count: usize, policy: &str) {
    for _ in 0..2_000 {
        let threads = threads();
        if threads.len() == count && threads.iter().all(|thread| thread == policy) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?} instead of {count} of policy {policy}", threads());
}

#[test]
fn there_is_one_idle_thread_for_a_processor_until_the_last_one_goes() {
    const SCHED_IDLE: &str = "5";
    let expected = processors().len();
    assert_eq!(expected > 0, KeepAwake::is_possible());
    let first = KeepAwake::begin();
    let second = KeepAwake::begin();
    wait_for(expected, SCHED_IDLE);
    drop(first);
    std::thread::sleep(Duration::from_millis(50));
    wait_for(expected, SCHED_IDLE);
    drop(second);
    wait_for(0, SCHED_IDLE);
}
