//! The SMTP submission client.
