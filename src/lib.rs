//! mqttscope: what MQTT really does on a network.
pub mod capture;
pub mod frame;
pub mod mqtt;
pub mod results;
pub mod stats;
pub mod tcp;
pub mod time;
pub mod wire;
