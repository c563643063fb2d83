//! The `mqttscope` binary: parse the arguments, run, exit with the code.

fn main() -> std::process::ExitCode {
    mqttscope::cli::run()
}
