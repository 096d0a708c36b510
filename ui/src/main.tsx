import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { follow } from "./api/stream";
import { App } from "./app";
import { followTheme } from "./lib/theme";
import { watchAddress } from "./lib/url";

followTheme();
watchAddress();
void follow();
const root = document.getElementById("page");
if (root) render(<App />, root);
