// A client of Segue in Node, on the library `osc`: drives a whole session and prints what it parses, a line of JSON each.
// usage: node foreign.js udp|tcp|websocket PORT RIFF
const osc = require("osc");

const [transport, port, riff] = process.argv.slice(2);
const options = { metadata: true };
const link =
    transport === "udp"
        ? new osc.UDPPort({ ...options, localAddress: "127.0.0.1", localPort: 0, remoteAddress: "127.0.0.1", remotePort: +port })
        : transport === "tcp"
          ? new osc.TCPSocketPort({ ...options, address: "127.0.0.1", port: +port })
          : new osc.WebSocketPort({ ...options, url: `ws://127.0.0.1:${port}/` });

const message = (address, ...args) => ({ address, args: args.map(([type, value]) => ({ type, value })) });
const send = (...parts) => link.send(message(...parts));
const bundle = (...packets) => link.send({ timeTag: osc.timeTag(0), packets });

// What is sent once the answer before has come: [address of the answer, its first argument, what to do then].
const steps = [
    ["/segue/done", "/segue/notify", () => send("/segue/prime/file", ["s", riff])],
    ["/segue/done", "/segue/prime/file", () => send("/segue/style", ["s", "house"])],
    ["/segue/style", "house", () => send("/segue/param/temperature", ["d", 0.75])],
    ["/segue/param/temperature", 0.75, () => send("/segue/nothing", ["i", 1])],
    [
        "/segue/fail",
        "/segue/nothing",
        () =>
            bundle(
                message("/segue/generate", ["s", "#node"], ["f", 0.5]),
                message("/segue/param/seed", ["f", 4711]),
            ),
    ],
];
const ended = new Set();

link.on("message", (heard) => {
    const values = heard.args.map((argument) => argument.value);
    console.log(JSON.stringify({ address: heard.address, types: heard.args.map((a) => a.type).join(""), values }));
    if (steps.length && heard.address === steps[0][0] && values[0] === steps[0][1]) {
        steps.shift()[2]();
    }
    if (heard.address === "/segue/job" && values[1] === "done") ended.add("job");
    if (heard.address === "/segue/take" && values[7] === "done") ended.add("take");
    if (ended.size === 2) process.exit(0);
});
link.on("error", (error) => {
    console.error(error);
    process.exit(2);
});
const begin = () => send("/segue/notify", ["T", true]);
if (transport === "tcp") {
    link.open();
    link.socket.on("connect", begin);
} else {
    link.on("ready", begin);
    link.open();
}
setTimeout(() => process.exit(3), 40000);
