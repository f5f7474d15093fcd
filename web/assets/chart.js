// Lines over time or over numbers, by uPlot. Each axis names its unit, and the time axis its zone.

import { h, isUtc, zone } from './dom.js';

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/**
 * series: [{name, values, step, dash}], x: seconds or numbers, limits: [{name, value}].
 * Lines differ by dash as well as by colour. Returns {node, destroy}.
 */
export function chart({ title, unit, x, series, limits = [], isTime = true, xUnit = '', height = 220, fixed = null }) {
  const node = h('div', { class: 'chart', role: 'img', 'aria-label': `${title}, in ${unit}` });
  const all = [...series, ...limits.map((limit) => ({ name: limit.name, values: x.map(() => limit.value), isLimit: true }))];
  const axis = (label, extra) => ({ label, stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 },
    font: '12px sans-serif', labelFont: '12px sans-serif', ...extra });
  const options = () => ({
    width: Math.max(240, node.clientWidth || 300), height, title: '',
    cursor: { drag: { x: true, y: false } },
    tzDate: isUtc() ? (at) => uPlot.tzDate(new Date(at * 1000), 'Etc/UTC') : undefined,
    scales: { x: { time: isTime }, y: fixed ? { range: fixed } : {} },
    axes: [axis(isTime ? `time (${zone()})` : xUnit, {}), axis(unit, { size: 58 })],
    series: [{ label: isTime ? 'time' : xUnit, value: isTime ? undefined : (_, at) => (at === null ? '–' : String(at)) },
      ...all.map((line, place) => ({
        label: line.name, stroke: colour(line.isLimit ? '--bad' : `--c${place % 4}`), width: line.isLimit ? 1.5 : 2,
        dash: line.isLimit ? [4, 4] : (line.dash ?? DASHES[place % 4]), points: { show: x.length < 40 && !line.isLimit, size: 5 }, spanGaps: true,
        paths: line.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
        value: (_, value) => (value === null || value === undefined ? '–' : value.toPrecision(4)),
      }))],
  });
  let plot = null;
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(options(), [x, ...all.map((line) => line.values)], node);
  };
  const observer = new ResizeObserver(() => {
    const width = node.clientWidth;
    if (plot === null && width > 0) draw();
    else if (plot !== null && width > 0 && Math.abs(plot.width - width) > 1) plot.setSize({ width, height });
  });
  observer.observe(node);
  document.addEventListener('look', draw);
  return { node, destroy: () => { observer.disconnect(); document.removeEventListener('look', draw); plot?.destroy(); } };
}
