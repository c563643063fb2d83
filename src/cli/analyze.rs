//! `mqttscope analyze`

use std::time::Instant;

use crate::results::Throughput;

use super::args::AnalyzeArgs;
use super::describe::describe;
use super::error::Failure;
use super::input::{Input, no_mqtt};
use super::passive::{Analysis, SummaryForm, check, is_empty};

pub(super) fn run(arguments: &AnalyzeArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let mut analysis = Analysis::new(&arguments.results)?;
    let mut input = Input::open(&arguments.capture)?;
    analysis.open_directory(&arguments.results)?;
    let mut observers = analysis.observers(&input.settings, &input.paths())?;
    let pipeline = input.run(&mut observers, |observers| Analysis::goes_on(observers));
    let mut summary = analysis.summarise(observers, &pipeline)?;
    describe(&mut summary, &input.capture);
    let bytes = summary.captures.iter().map(|capture| capture.bytes).sum();
    summary.throughput = Some(Throughput::new(
        began.elapsed().as_secs_f64(),
        summary.frames,
        bytes,
    ));
    if is_empty(&summary, &input.settings) && !arguments.results.allow_empty {
        // Earlier results in the directory stay as they are.
        input.check()?;
        return Err(Failure::NoMqtt(no_mqtt(&input, &pipeline)));
    }
    let form = if arguments.results.json {
        SummaryForm::Json
    } else {
        SummaryForm::Text
    };
    let fail_on = analysis.finish(&summary, pipeline, &arguments.results, form)?;
    input.check()?;
    check(&fail_on, &summary)
}
