#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| finetune_fuzz::fuzz("safetensors", input));
