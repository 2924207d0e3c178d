import { h } from "preact";
import htm from "htm";
export { render } from "preact";
export { useEffect, useRef, useState } from "preact/hooks";
export { signal, computed, effect, useSignal } from "@preact/signals";
export { default as Plot } from "uplot";
export const html = htm.bind(h);
