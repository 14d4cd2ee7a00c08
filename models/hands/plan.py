"""The neutral hand's mesh: rings of vertices around palm and fingers, laid over the flesh and pressed onto it.

The palm is a stack of loops from the wrist to the webs. The last loop divides into one loop of eight for each finger
(neighbours share a corner above, the web and a corner below), and a hole in the palm's radial edge is the thumb's first
loop. Tubes of rings, closer where a finger bends, lead from these loops to the tips. The mesh is closed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .anatomy import FINGERS, THUMB_NAIL, Measures, chain, flesh, skeleton
from .flesh import Cone, press

COLUMNS = 9
SOFT = 0.003
"""How far the palm's muscles melt into each other, metres."""
LOOP = 2 * COLUMNS + 2
STATIONS = (0.0, 0.12, 0.24, 0.35, 0.46, 0.57, 0.67, 0.76, 0.84, 0.92, 1.0)
"""Loops of the palm from the wrist (0) to the webs (1)."""
THUMB_HOLE = (2, 5)
"""The palm's loops between which the thumb leaves its radial edge."""
RINGS = ((0.68, 0.86, 1.0), (0.25, 0.50, 0.77, 1.0), (0.22, 0.48, 0.70, 0.87, 0.965))
THUMB_RINGS = ((0.52, 0.78, 1.0), (0.22, 0.48, 0.77, 1.0), (0.22, 0.46, 0.68, 0.86, 0.965))
"""Rings of the tubes: for each bone, how far along it."""


@dataclass
class Mesh:
    """Vertices with what they belong to, and triangles (T, 3), counter-clockwise from outside.

    part: "palm", or a finger's name for vertices of its tube. column: the palm's column (0 radial .. 8 ulnar).
    reach: for a finger's tube, metres from its first joint along its bones.
    """

    vertices: list[np.ndarray] = field(default_factory=list)
    part: list[str] = field(default_factory=list)
    column: list[float] = field(default_factory=list)
    reach: list[float] = field(default_factory=list)
    triangles: list[tuple[int, int, int]] = field(default_factory=list)
    tips: list[int] = field(default_factory=list)

    def add(self, point: np.ndarray, part: str, column: float = 0.0, reach: float = 0.0) -> int:
        self.vertices.append(np.asarray(point, np.float64))
        self.part.append(part)
        self.column.append(column)
        self.reach.append(reach)
        return len(self.vertices) - 1

    def quad(self, a: int, b: int, c: int, d: int) -> None:
        """Two triangles, divided along the shorter diagonal."""
        p = self.vertices
        if np.linalg.norm(p[a] - p[c]) <= np.linalg.norm(p[b] - p[d]):
            self.triangles += [(a, b, c), (a, c, d)]
        else:
            self.triangles += [(a, b, d), (b, c, d)]

    def tube(self, near: list[int], far: list[int]) -> None:
        """Quads between two loops that run the same way."""
        for i in range(len(near)):
            j = (i + 1) % len(near)
            self.quad(near[i], near[j], far[j], far[i])

    def fan(self, loop: list[int], centre: int) -> None:
        """Close a loop with triangles to one vertex."""
        for i in range(len(loop)):
            self.triangles.append((loop[i], loop[(i + 1) % len(loop)], centre))


def make_mesh(m: Measures) -> Mesh:
    """The right hand's mesh for the given measures; numbering and triangles never depend on them."""
    joints, tips = skeleton(m)
    parts = flesh(m, joints, tips)
    chains = {finger: chain(m, finger, joints, tips) for finger in ("thumb", *FINGERS)}
    everything = parts["palm"] + [cone for finger in FINGERS for cone in parts[finger]]
    mesh = Mesh()
    loops, webs = _palm(mesh, m, chains, everything)
    for i, finger in enumerate(FINGERS):
        last = loops[-1]
        above, below = last[2 * i : 2 * i + 3], [last[LOOP - 2 - c] for c in (2 * i + 2, 2 * i + 1, 2 * i)]
        _tube(mesh, finger, [*above, webs[i + 1], *below, webs[i]], chains[finger], parts[finger], parts["palm"])
    first, end = THUMB_HOLE
    # Around the hole: out of the palm, over its edge, along the back, over the edge again, and back along the palm.
    edge = [LOOP - 3, LOOP - 2, LOOP - 1, 0]
    hole = [loops[first][c] for c in edge]
    hole += [loops[k][0] for k in range(first + 1, end)]
    hole += [loops[end][c] for c in reversed(edge)]
    hole += [loops[k][edge[0]] for k in range(end - 1, first, -1)]
    _tube(mesh, "thumb", hole, chains["thumb"], parts["thumb"], parts["palm"])
    palm = {v for loop in loops[1:] for v in loop if v >= 0} | set(webs)
    ball = [v for v, part in enumerate(mesh.part) if part == "thumb"][: 2 * len(hole)]
    _even_out(mesh, sorted(palm | set(ball)), everything + parts["thumb"])
    # Fingers stand in thumb-first order among the tips.
    mesh.tips = [mesh.tips[-1], *mesh.tips[:-1]]
    return mesh


def _palm(
    mesh: Mesh, m: Measures, chains: dict[str, tuple[np.ndarray, np.ndarray]], cones: list[Cone]
) -> tuple[list[list[int]], list[int]]:
    """The palm's loops (each: 9 above, ulnar side, 9 below, radial side) and the 5 vertices of the webs."""
    up, out = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    along = lambda finger, f: chains[finger][0][0] * (1 - f) + chains[finger][0][1] * f
    thick = lambda finger: chains[finger][1][0]
    above, below, web = np.zeros((COLUMNS, 3)), np.zeros((COLUMNS, 3)), np.zeros((5, 3))
    for i, finger in enumerate(FINGERS):
        above[2 * i + 1] = along(finger, 0.42) + up * thick(finger)
        below[2 * i + 1] = along(finger, 0.58) - up * thick(finger)
    for i in range(5):
        near = [f for f in (FINGERS[i - 1] if i else None, FINGERS[i] if i < 4 else None) if f]
        shift = out * thick(near[0]) * (0.75 if i == 0 else -0.75 if i == 4 else 0.0)
        mean = lambda f, near=near: np.mean([along(n, f) for n in near], axis=0)
        above[2 * i] = mean(0.36) + shift + up * thick(near[0]) * 0.7
        below[2 * i] = mean(0.52) + shift - up * thick(near[0]) * 0.7
        web[i] = mean(0.50) + shift * 1.4
    wrist = np.array([0.016 * m.palm_length, 0.0, 0.0]) * m.size
    across = np.linspace(1, -1, COLUMNS)
    dome = np.sqrt(1.08 - across**2)
    start_above = wrist + (across[:, None] * out * 0.025 * m.palm_width + dome[:, None] * up * 0.018) * m.size
    start_below = start_above * (1, -1, 1)
    sides = [(wrist - out * 0.028 * m.size, web[4]), (wrist + out * 0.028 * m.size, web[0])]
    loops, points = [], []
    for s in STATIONS:
        rows = [start_above * (1 - s) + above * s, (start_below * (1 - s) + below * s)[::-1]]
        ulnar, radial = (a * (1 - s) + b * s for a, b in sides)
        points.append(np.concatenate([rows[0], ulnar[None], rows[1], radial[None]]))
    pressed = _settle(np.stack(points), cones)
    columns = [*range(COLUMNS), COLUMNS - 1, *range(COLUMNS - 1, -1, -1), 0]
    for k in range(len(STATIONS)):
        inside_hole = THUMB_HOLE[0] < k < THUMB_HOLE[1]
        loops.append(
            [-1 if inside_hole and c >= LOOP - 2 else mesh.add(pressed[k, c], "palm", columns[c]) for c in range(LOOP)]
        )
    inner = press(cones, web[1:4], SOFT)
    webs = [loops[-1][LOOP - 1], *(mesh.add(p, "palm", 2.0 * i + 2) for i, p in enumerate(inner)), loops[-1][COLUMNS]]
    for k in range(len(STATIONS) - 1):
        for i in range(LOOP):
            if not (THUMB_HOLE[0] <= k < THUMB_HOLE[1] and i >= LOOP - 3):
                j = (i + 1) % LOOP
                mesh.quad(loops[k][i], loops[k][j], loops[k + 1][j], loops[k + 1][i])
    rim = np.stack([mesh.vertices[v] for v in loops[0]])
    centre = rim.mean(0) + np.array([0.004, 0, 0]) * m.size
    ring = [
        mesh.add(p * 0.6 + centre * 0.4 + np.array([0.002, 0, 0]) * m.size, "palm", c) for p, c in zip(rim, columns)
    ]
    mesh.tube(ring, loops[0])
    mesh.fan(ring[::-1], mesh.add(centre, "palm", 4.0))
    return loops, webs


def _settle(points: np.ndarray, cones: list[Cone]) -> np.ndarray:
    """Press the palm's grid (loops, LOOP, 3) onto the flesh, evening out the distances between its vertices."""
    shape = points.shape
    points = press(cones, points.reshape(-1, 3), SOFT).reshape(shape)
    for _ in range(6):
        around = (np.roll(points, 1, 1) + np.roll(points, -1, 1)) / 2
        middle = 0.5 * around[1:-1] + 0.25 * (points[:-2] + points[2:])
        points[1:-1] += 0.35 * (middle - points[1:-1])
        points = press(cones, points.reshape(-1, 3), SOFT, rounds=2).reshape(shape)
    return points


def _even_out(mesh: Mesh, chosen: list[int], cones: list[Cone]) -> None:
    """Let palm and ball of the thumb flow into each other: even distances, on the common surface."""
    count = len(mesh.vertices)
    neighbours = np.zeros((count, count))
    for triangle in mesh.triangles:
        for a, b in zip(triangle, (*triangle[1:], triangle[0])):
            neighbours[a, b] = neighbours[b, a] = 1
    neighbours /= neighbours.sum(1, keepdims=True)
    points = np.stack(mesh.vertices)
    for _ in range(24):
        points[chosen] += 0.4 * (neighbours[chosen] @ points - points[chosen])
        points[chosen] = press(cones, points[chosen], SOFT, rounds=2)
    mesh.vertices[:] = list(points)


def _tube(
    mesh: Mesh, finger: str, loop: list[int], bones: tuple[np.ndarray, np.ndarray], own: list[Cone], palm: list[Cone]
) -> None:
    """A finger: rings from its first loop to the tip."""
    points, radii = bones
    nail = np.array(THUMB_NAIL) if finger == "thumb" else np.array([0.0, 1.0, 0.0])
    size = len(loop)
    phase: float | None = None
    reach = 0.0
    previous = loop
    for bone, fractions in enumerate(THUMB_RINGS if finger == "thumb" else RINGS):
        a, b = points[bone], points[bone + 1]
        length = float(np.linalg.norm(b - a))
        for fraction in fractions:
            axis = (b - a) / length
            if fraction == 1.0:
                following = points[bone + 2] - b
                axis = axis + following / np.linalg.norm(following)
                axis = axis / np.linalg.norm(axis)
            top = nail - (nail @ axis) * axis
            top = top / np.linalg.norm(top)
            side = np.cross(top, axis)
            centre = a + (b - a) * fraction
            if phase is None:
                phase = _phase(np.stack([mesh.vertices[v] for v in loop]) - centre, side, top)
            turns = phase + 2 * np.pi * np.arange(size) / size
            radius = radii[bone] * (1 - fraction) + radii[bone + 1] * fraction
            if bone == 2:
                round_off = max(0.0, fraction - (1 - radii[3] / length)) * length / radii[3]
                radius *= np.sqrt(max(1 - round_off**2, 0.02))
            ring = centre + radius * (np.cos(turns)[:, None] * side + np.sin(turns)[:, None] * top)
            ring = press(own + palm if bone == 0 else own, ring, 0.0012)
            current = [mesh.add(p, finger, reach=reach + fraction * length) for p in ring]
            mesh.tube(previous, current)
            previous = current
        reach += length
    tip = press(own, points[3:4], 0.0012)[0]
    mesh.tips.append(mesh.add(tip, finger, reach=reach))
    mesh.fan(previous, mesh.tips[-1])


def _phase(offsets: np.ndarray, side: np.ndarray, top: np.ndarray) -> float:
    """The angle at which a ring must begin so that its vertices continue a loop with the least twist."""
    turns = np.arctan2(offsets @ top, offsets @ side) - 2 * np.pi * np.arange(len(offsets)) / len(offsets)
    return float(np.angle(np.exp(1j * turns).mean()))
