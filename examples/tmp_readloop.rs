use mqttscope::capture::{Capture, Item};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut c = match Capture::open(&args) {
        Ok(c) => c,
        Err(e) => {
            println!("ERR {e}");
            return;
        }
    };
    let t = std::time::Instant::now();
    let (mut n, mut b, mut s) = (0u64, 0u64, 0u64);
    let mut last = i64::MIN;
    let mut back = 0u64;
    while let Some(i) = c.next_item() {
        match i {
            Item::Frame(f) => {
                n += 1;
                b += f.bytes.len() as u64 + u64::from(f.bytes.first().copied().unwrap_or(0));
                if f.time.as_nanos() < last {
                    back += 1
                }
                last = f.time.as_nanos();
            }
            Item::Secrets { .. } => s += 1,
        }
    }
    println!(
        "{n} frames {b} {s} secrets back {back} in {:?}",
        t.elapsed()
    );
    if std::env::var_os("V").is_some() {
        for f in c.files() {
            println!("{f:?}");
            for w in &f.warnings {
                println!("  {w}")
            }
        }
        for t in c.taps() {
            println!("{t:?}")
        }
    }
}
