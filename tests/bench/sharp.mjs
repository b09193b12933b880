// sharp, as a peer of `make bench-resize`: sharp.mjs NODE_MODULES_PARENT. What it is told and answers, one JSON object
// per line, stands in tests/src/bench/resize/peer.rs.
//
// As fast as sharp is asked to be by those who use it for this: bytes in, bytes out, no cache (each input is met once),
// one thread, jobs one after the other. Left at its defaults: Lanczos3, shrink-on-load, SIMD, optimized Huffman tables,
// PNG compression 6, WebP effort 4. It doesn't read EXIF's orientation unless asked; the corpus has none.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, parse, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const sharp = createRequire(join(resolve(process.argv[2]), 'package.json'))('sharp');
sharp.concurrency(1);
sharp.cache(false);

const encode = {
  jpeg: (image, quality) => image.flatten({ background: '#ffffff' }).jpeg({ quality, chromaSubsampling: '4:2:0' }),
  png: (image) => image.png(),
  webp: (image, quality) => image.webp({ quality }),
};

const convert = (input, { width, height, format, quality }) =>
  encode[format](sharp(input).resize({ width, height, fit: 'inside' }), quality).toBuffer();

const answer = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

let names = [];
let inputs = [];
answer({ version: `sharp ${sharp.versions.sharp} (libvips ${sharp.versions.vips})` });
for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  if (job.load) {
    names = job.load.map((path) => parse(path).name);
    inputs = job.load.map((path) => readFileSync(path));
    answer({ loaded: inputs.length });
    continue;
  }
  const outputs = [];
  const before = process.cpuUsage();
  for (const input of inputs) outputs.push(await convert(input, job));
  const { user, system } = process.cpuUsage(before);
  if (job.out) outputs.forEach((output, n) => writeFileSync(join(job.out, `${names[n]}.${job.format}`), output));
  answer({ cpu_micros: user + system, bytes: outputs.map((output) => output.length) });
}
