/** Where pictures go: a pure function of who is there, what is in the middle, and how much room there is. */

export type Rect = { x: number; y: number; width: number; height: number };
export type Size = { width: number; height: number };

const GAP = 8;
const TILE_RATIO = 16 / 9;
/** How much squarer than a camera's picture tiles may become, so that they fill the screen: faces are not cut off. */
const LEAST_RATIO = { wide: 1.15, narrow: 3 / 4 };
const NARROW = 700;

/** As many equal tiles as asked for, as large as they can be. */
export function grid(count: number, area: Size, gap = GAP): Rect[] {
  if (count === 0 || area.width <= 0 || area.height <= 0) return [];
  const least = area.width < NARROW ? LEAST_RATIO.narrow : LEAST_RATIO.wide;
  let best = { size: 0, columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (area.width - gap * (columns - 1)) / columns;
    const cellHeight = (area.height - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const ratio = Math.min(TILE_RATIO, Math.max(least, cellWidth / cellHeight));
    const width = Math.min(cellWidth, cellHeight * ratio);
    const height = Math.min(cellHeight, width / ratio);
    if (width * height > best.size) best = { size: width * height, columns, width, height };
  }
  const { columns, width, height } = best;
  const rows = Math.ceil(count / columns);
  const top = (area.height - rows * height - (rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    // The last row stands in the middle.
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = (area.width - inRow * width - (inRow - 1) * gap) / 2;
    return { x: left + (index % columns) * (width + gap), y: top + row * (height + gap), width, height };
  });
}

/** One large picture and a strip of small ones: beside it in a wide room, below it in a tall one. */
export function spotlight(others: number, area: Size, gap = GAP): { main: Rect; strip: Rect[] } {
  const whole = { x: 0, y: 0, width: area.width, height: area.height };
  if (others === 0) return { main: whole, strip: [] };
  if (area.width >= area.height * 1.2) {
    const width = Math.min(260, Math.max(120, area.width * 0.2));
    const height = width / TILE_RATIO;
    const fit = Math.max(1, Math.floor((area.height + gap) / (height + gap)));
    const shown = Math.min(others, fit);
    const top = (area.height - shown * height - (shown - 1) * gap) / 2;
    const x = area.width - width;
    return {
      main: { x: 0, y: 0, width: x - gap, height: area.height },
      strip: Array.from({ length: shown }, (_, index) => ({ x, y: top + index * (height + gap), width, height })),
    };
  }
  const height = Math.min(130, Math.max(76, area.height * 0.18));
  const width = height * (4 / 3);
  const fit = Math.max(1, Math.floor((area.width + gap) / (width + gap)));
  const shown = Math.min(others, fit);
  const left = (area.width - shown * width - (shown - 1) * gap) / 2;
  const y = area.height - height;
  return {
    main: { x: 0, y: 0, width: area.width, height: y - gap },
    strip: Array.from({ length: shown }, (_, index) => ({ x: left + index * (width + gap), y, width, height })),
  };
}

/** Where each tile is; those without a place are not shown. `focus` is the large one, in a spotlight. */
export function arrange(ids: readonly string[], focus: string | undefined, area: Size): Map<string, Rect> {
  const places = new Map<string, Rect>();
  if (focus === undefined || !ids.includes(focus)) {
    grid(ids.length, area).forEach((rect, index) => places.set(ids[index] as string, rect));
    return places;
  }
  const others = ids.filter((id) => id !== focus);
  const { main, strip } = spotlight(others.length, area);
  places.set(focus, main);
  strip.forEach((rect, index) => places.set(others[index] as string, rect));
  return places;
}
