// Lines over time or over numbers, by uPlot. Each axis names its unit, and the time axis its zone; the same figures stand in a table.

import { figure, h, isUtc, table, time, zone } from './dom.js';

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
/** Rows of the table below a chart at most, the latest ones. */
const ROWS = 120;

/**
 * series: [{name, values, step, dash}], x: seconds or numbers, limits: [{name, value}] or [{name, values}].
 * `isDay`: x are the beginnings of days in UTC. `range` is that of x, where it is longer than what is known. Lines differ by dash as well as by colour. Returns {node, destroy}.
 */
export function chart({ title, unit, x, series, limits = [], isTime = true, isDay = false, xUnit = '', height = 220, fixed = null, range = null }) {
  // a trading day is the same day in every zone
  const over = isDay ? 'trading day' : isTime ? `time (${zone()})` : xUnit;
  const at = (value) => (isDay ? new Date(value * 1000).toISOString().slice(0, 10) : isTime ? time(value * 1000) : String(value));
  const frame = h('div', { class: 'chart', role: 'img', 'aria-label': `${title}, in ${unit}, over ${over}` });
  frame.style.minHeight = `${height + 44}px`;
  const of = (limit) => limit.values ?? x.map(() => limit.value);
  const all = [...series, ...limits.map((limit) => ({ name: limit.name, values: of(limit), isLimit: true }))];
  const shown = (value) => (value === null || value === undefined ? '–' : figure(value));
  const axis = (label, extra) => ({ label, stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 },
    font: '12px sans-serif', labelFont: '12px sans-serif', labelSize: 18, ...extra });
  const options = () => ({
    width: Math.max(220, frame.clientWidth || 300), height, title: '',
    cursor: { drag: { x: true, y: false } },
    tzDate: isUtc() || isDay ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : undefined,
    scales: { x: { time: isTime, ...(range ? { range } : {}) }, y: fixed ? { range: fixed } : {} },
    axes: [axis(over, { size: isTime ? 46 : 34 }), axis(unit, { size: 54 })],
    series: [{ label: isDay ? 'day' : isTime ? 'time' : xUnit, value: (_, value) => (value === null || value === undefined ? '–' : at(value)) },
      ...all.map((line, place) => ({
        label: line.name, stroke: colour(line.isLimit ? '--bad' : `--c${place % 4}`), width: line.isLimit ? 1.5 : 2,
        dash: line.isLimit ? [4, 4] : (line.dash ?? DASHES[place % 4]), points: { show: x.length < 40 && !line.isLimit, size: 5 }, spanGaps: true,
        paths: line.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
        value: (_, value) => shown(value),
      }))],
  });
  let plot = null;
  const draw = () => {
    plot?.destroy();
    plot = frame.clientWidth > 0 ? new uPlot(options(), [x, ...all.map((line) => line.values)], frame) : null;
  };
  const observer = new ResizeObserver(() => {
    const width = frame.clientWidth;
    if (plot === null && width > 0) draw();
    else if (plot !== null && width > 0 && Math.abs(plot.width - width) > 1) plot.setSize({ width, height });
  });
  observer.observe(frame);
  document.addEventListener('look', draw);
  // for who reads with a keyboard or by ear, and for who wants the figures
  const rows = () => x.map((value, place) => [at(value), ...all.map((line) => shown(line.values[place]))]).slice(-ROWS).reverse();
  const figures = h('details', { class: 'figures' }, h('summary', {}, 'As a table'));
  figures.addEventListener('toggle', () => {
    if (figures.open && !figures.querySelector('table, p')) {
      figures.append(table([{ name: over, t: true }, ...all.map((line) => ({ name: line.name, n: true }))], rows()));
    }
  });
  const node = h('div', { 'data-chart': title }, frame, figures);
  return { node, destroy: () => { observer.disconnect(); document.removeEventListener('look', draw); plot?.destroy(); } };
}

/** Charts of one screen, which go together. */
export function charts() {
  const all = [];
  return {
    add(parent, options) { const made = chart(options); all.push(made); parent.append(made.node); return made.node; },
    clear() { all.splice(0).forEach((made) => made.destroy()); },
  };
}
