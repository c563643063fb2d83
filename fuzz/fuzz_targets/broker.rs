#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mqttscope_fuzz::targets::broker::run(data));

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("built without libFuzzer: see fuzz/README.md");
    std::process::exit(2);
}
