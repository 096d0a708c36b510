// Keeps an object for every request: about 1.5 MB a second of the V8 heap.
const requests = [];
let number = 0;
setInterval(() => {
  for (let i = 0; i < 20; i++) {
    const tags = [];
    for (let tag = 0; tag < 20; tag++) tags.push({ number, tag, text: `${number}-${tag}` });
    requests.push({ number, tags });
    number++;
  }
}, 20);
