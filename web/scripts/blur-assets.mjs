// Puts in place what background blur needs, so that browsers fetch it from us and from nobody else: MediaPipe's runtime,
// and its selfie segmentation model. Both come from npm. The model's package is older than MediaPipe's task API, which
// wants to read from the model itself how its input is to be scaled; that description is added here.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Builder, ByteBuffer } from "flatbuffers";

const require = createRequire(import.meta.url);
const target = fileURLToPath(new URL("../public/blur", import.meta.url));

/** The field's number, as the slot that a table's vtable has for it. */
const slot = (field) => 4 + 2 * field;
// Fields of tensorflow/lite/schema.fbs.
const MODEL = { version: 0, operatorCodes: 1, subgraphs: 2, description: 3, buffers: 4, metadata: 6, fields: 8 };

/**
 * `ModelMetadata` of tflite_metadata_schema.fbs: one input, of which a pixel's 0 to 255 is scaled to 0 to 1, as the
 * model's card has it, and one output.
 */
function describe() {
  const builder = new Builder(512);
  const floats = (value) => {
    builder.startVector(4, 1, 4);
    builder.addFloat32(value);
    return builder.endVector();
  };
  const table = (fields, fill) => {
    builder.startObject(fields);
    fill();
    return builder.endObject();
  };
  const list = (...offsets) => {
    builder.startVector(4, offsets.length, 4);
    for (const offset of offsets.reverse()) builder.addOffset(offset);
    return builder.endVector();
  };
  const mean = floats(0);
  const deviation = floats(255);
  const scaling = table(2, () => { builder.addFieldOffset(0, mean, 0); builder.addFieldOffset(1, deviation, 0); });
  const NORMALIZATION = 1;
  const step = table(2, () => { builder.addFieldInt8(0, NORMALIZATION, 0); builder.addFieldOffset(1, scaling, 0); });
  const steps = list(step);
  const inputName = builder.createString("image");
  const outputName = builder.createString("mask");
  const input = table(7, () => { builder.addFieldOffset(0, inputName, 0); builder.addFieldOffset(4, steps, 0); });
  const output = table(7, () => builder.addFieldOffset(0, outputName, 0));
  const [inputs, outputs] = [list(input), list(output)];
  const graph = table(10, () => { builder.addFieldOffset(2, inputs, 0); builder.addFieldOffset(3, outputs, 0); });
  const graphs = list(graph);
  const name = builder.createString("Selfie segmentation");
  builder.finish(table(8, () => { builder.addFieldOffset(0, name, 0); builder.addFieldOffset(3, graphs, 0); }), "M001");
  return builder.asUint8Array();
}

/**
 * A model with metadata: a new root before the old file, which stays as it is. Offsets in FlatBuffers point forward, and
 * the builder writes from the end, so that all that the new root takes over lies where it can be pointed at.
 */
function withMetadata(model, metadata) {
  const old = new ByteBuffer(new Uint8Array(model));
  if (!old.__has_identifier("TFL3") || model.length % 16 !== 0) throw new Error("this is not the model that was expected");
  const root = old.readInt32(0);
  const at = (field) => {
    const offset = old.__offset(root, slot(field));
    return offset === 0 ? undefined : old.__indirect(root + offset);
  };
  if (at(MODEL.metadata) !== undefined && old.__vector_len(root + old.__offset(root, slot(MODEL.metadata))) > 0) return model;

  const builder = new Builder(model.length + metadata.length + 4096);
  builder.prep(16, model.length);
  builder.space -= model.length;
  builder.bb.bytes().set(model, builder.space);
  const known = (position) => model.length - position;

  builder.prep(16, metadata.length + 4);
  const bytes = builder.createByteVector(metadata);
  builder.startObject(1);
  builder.addFieldOffset(0, bytes, 0);
  const buffer = builder.endObject();

  const buffersAt = at(MODEL.buffers);
  const count = old.readInt32(buffersAt);
  builder.startVector(4, count + 1, 4);
  builder.addOffset(buffer);
  for (let index = count - 1; index >= 0; index -= 1) builder.addOffset(known(old.__indirect(buffersAt + 4 + 4 * index)));
  const buffers = builder.endVector();

  const name = builder.createString("TFLITE_METADATA");
  builder.startObject(2);
  builder.addFieldOffset(0, name, 0);
  builder.addFieldInt32(1, count, 0);
  const entry = builder.endObject();
  builder.startVector(4, 1, 4);
  builder.addOffset(entry);
  const entries = builder.endVector();

  builder.startObject(MODEL.fields);
  builder.addFieldInt32(MODEL.version, old.readInt32(root + old.__offset(root, slot(MODEL.version))), 0);
  for (const field of [MODEL.operatorCodes, MODEL.subgraphs, MODEL.description]) if (at(field) !== undefined) builder.addFieldOffset(field, known(at(field)), 0);
  builder.addFieldOffset(MODEL.buffers, buffers, 0);
  builder.addFieldOffset(MODEL.metadata, entries, 0);
  builder.finish(builder.endObject(), "TFL3");
  return builder.asUint8Array();
}

const vision = join(dirname(require.resolve("@mediapipe/tasks-vision")), "wasm");
const model = readFileSync(join(dirname(require.resolve("@mediapipe/selfie_segmentation")), "selfie_segmentation.tflite"));
mkdirSync(join(target, "wasm"), { recursive: true });
// Every browser that can process a camera's frames has SIMD: the other build of the runtime is never asked for.
for (const file of ["vision_wasm_internal.js", "vision_wasm_internal.wasm"]) copyFileSync(join(vision, file), join(target, "wasm", file));
writeFileSync(join(target, "selfie_segmenter.tflite"), withMetadata(model, describe()));
