import { useId } from "react";

import { useSize } from "../stage/use-size.ts";
import { formatNumber } from "../i18n/format.ts";
import { scale, ticks } from "./scale.ts";

const HEIGHT = 210;
const LEFT = 52;
const BOTTOM = 26;
const TOP = 10;

export type Bar = { key: string; label: string; value: number; title: string };

/** Values side by side. The same numbers stand in a table that screen readers get. */
export function BarChart({ title, bars, format, step = 1 }: { title: string; bars: Bar[]; format: (value: number) => string; /** What the marks beside it are whole numbers of. */ step?: number }) {
  const [ref, { width }] = useSize<HTMLDivElement>();
  const top = Math.max(1, ...bars.map((bar) => bar.value));
  const marks = ticks(top / step).map((mark) => mark * step);
  const y = scale(0, marks.at(-1) ?? top, HEIGHT - BOTTOM, TOP);
  const inner = Math.max(0, width - LEFT - 4);
  const pitch = bars.length > 0 ? inner / bars.length : 0;
  const bar = Math.max(1, Math.min(26, pitch * 0.68));
  const every = Math.max(1, Math.ceil(bars.length / Math.max(1, Math.floor(inner / 56))));
  return (
    <figure className="chart" ref={ref}>
      <svg width={width} height={HEIGHT} aria-hidden>
        {marks.map((mark) => (
          <g key={mark}>
            <line x1={LEFT} x2={width} y1={y(mark)} y2={y(mark)} className="chart-line" />
            <text x={LEFT - 8} y={y(mark) + 4} textAnchor="end" className="chart-text">{format(mark)}</text>
          </g>
        ))}
        {bars.map((one, index) => {
          const x = LEFT + pitch * (index + 0.5);
          return (
            <g key={one.key}>
              <rect x={x - bar / 2} y={y(one.value)} width={bar} height={Math.max(0, HEIGHT - BOTTOM - y(one.value))} rx={Math.min(4, bar / 2)} className="chart-bar"><title>{one.title}</title></rect>
              {index % every === 0 && <text x={x} y={HEIGHT - 8} textAnchor="middle" className="chart-text">{one.label}</text>}
            </g>
          );
        })}
      </svg>
      <table className="visually-hidden">
        <caption>{title}</caption>
        <tbody>{bars.map((one) => <tr key={one.key}><th scope="row">{one.label}</th><td>{format(one.value)}</td></tr>)}</tbody>
      </table>
    </figure>
  );
}

export type Series = { name: string; points: { x: number; y: number }[] };

/** Lines over time, `x` in seconds. */
export function LineChart({ title, series, formatX }: { title: string; series: Series[]; formatX: (x: number) => string }) {
  const [ref, { width }] = useSize<HTMLDivElement>();
  const id = useId();
  const all = series.flatMap((line) => line.points);
  const last = Math.max(10, ...all.map((point) => point.x));
  const marks = ticks(Math.max(1e-9, ...all.map((point) => point.y)));
  const y = scale(0, marks.at(-1) ?? 1, HEIGHT - BOTTOM, TOP);
  const x = scale(0, last, LEFT, Math.max(LEFT + 1, width - 6));
  return (
    <figure className="chart" ref={ref} aria-labelledby={id}>
      <figcaption id={id} className="row wrap chart-caption">
        <strong className="grow">{title}</strong>
        {series.length > 1 && series.map((line, index) => <span key={line.name} className="chart-key"><i style={{ background: `var(--chart-${(index % 4) + 1})` }} />{line.name}</span>)}
      </figcaption>
      <svg width={width} height={HEIGHT} role="img" aria-label={title}>
        {marks.map((mark) => (
          <g key={mark}>
            <line x1={LEFT} x2={width} y1={y(mark)} y2={y(mark)} className="chart-line" />
            <text x={LEFT - 8} y={y(mark) + 4} textAnchor="end" className="chart-text">{formatNumber(mark, 2)}</text>
          </g>
        ))}
        {ticks(last).map((mark) => mark <= last && <text key={mark} x={x(mark)} y={HEIGHT - 8} textAnchor="middle" className="chart-text">{formatX(mark)}</text>)}
        {series.map((line, index) => (
          <polyline key={line.name} points={line.points.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(" ")} fill="none" strokeWidth={2} style={{ stroke: `var(--chart-${(index % 4) + 1})` }} />
        ))}
      </svg>
    </figure>
  );
}
