//! Capture files to frames.
