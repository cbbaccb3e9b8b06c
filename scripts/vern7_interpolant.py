#!/usr/bin/env python3
"""Derives the interpolant of crates/neuralode-core/src/ode/method/vern7.rs; needs mpmath.

An interpolant that joins values and derivatives of both ends of a step has the weights

    b(theta) = hermite(theta) + theta^2 (1 - theta)^2 (p_0 + p_1 theta + p_2 theta^2)

where `hermite` is the cubic through both ends. For every rooted tree the order condition at `theta` is linear in
the p_m, so that each p_m solves a system of its own. The script checks that the conditions of order 6 cannot be met,
meets those up to order 5, minimises the error coefficients of order 6 in the root mean square with what is left, and
takes the least weights where that leaves a choice. Stages 2 and 3 stay out: they have no weight in the method.

It reads the coefficients as the fractions that Verner and OrdinaryDiffEq.jl publish, checks the order conditions of
the pair, and prints the three rows.
"""

from collections import Counter
from functools import cache
from math import factorial

import mpmath as mp

mp.mp.dps = 60
STAGES = 11
# Singular values below are zero: all others are above 1e-6.
ZERO = mp.mpf(10) ** -14

# Weights of earlier stages, by (stage, earlier stage), counted from 1. Stage 11 is the end of the step.
A = {
    (2, 1): "1/200",
    (3, 1): "-4361/4050",
    (3, 2): "2401/2025",
    (4, 1): "49/1200",
    (4, 3): "49/400",
    (5, 1): "2454451729/3841600000",
    (5, 3): "-9433712007/3841600000",
    (5, 4): "4364554539/1920800000",
    (6, 1): "-6187101755456742839167388910402379177523537620/2324599620333464857202963610201679332423082271",
    (6, 3): "27569888999279458303270493567994248533230000/2551701010245296220859455115479340650299761",
    (6, 4): "-37368161901278864592027018689858091583238040000/4473131870960004275166624817435284159975481033",
    (6, 5): "1392547243220807196190880383038194667840000000/1697219131380493083996999253929006193143549863",
    (7, 1): "11272026205260557297236918526339/1857697188743815510261537500000",
    (7, 3): "-48265918242888069/1953194276993750",
    (7, 4): "26726983360888651136155661781228/1308381343805114800955157615625",
    (7, 5): "-2090453318815827627666994432/1096684189897834170412307919",
    (7, 6): "1148577938985388929671582486744843844943428041509/1141532118233823914568777901158338927629837500000",
    (8, 1): "1304457204588839386329181466225966641/108211771565488329642169667802016000",
    (8, 3): "-1990261989751005/40001418792832",
    (8, 4): "2392691599894847687194643439066780106875/58155654089143548047476915856270826016",
    (8, 5): "-1870932273351008733802814881998561250/419326053051486744762255151208232123",
    (8, 6):
    "1043329047173803328972823866240311074041739158858792987034783181"
    "/510851127745017966999893975119259285040213723744255237522144000",
    (8, 7): "-311918858557595100410788125/3171569057622789618800376448",
    (9, 1): "17579784273699839132265404100877911157/1734023495717116205617154737841023480",
    (9, 3): "-18539365951217471064750/434776548575709731377",
    (9, 4): "447448655912568142291911830292656995992000/12511202807447096607487664209063950964109",
    (9, 5): "-65907597316483030274308429593905808000000/15158061430635748897861852383197382130691",
    (9, 6):
    "273847823027445129865693702689010278588244606493753883568739168819449761"
    "/136252034448398939768371761610231099586032870552034688235302796640584360",
    (9, 7): "694664732797172504668206847646718750/1991875650119463976442052358853258111",
    (9, 8): "-19705319055289176355560129234220800/72595753317320295604316217197876507",
    (10, 1): "-511858190895337044664743508805671/11367030248263048398341724647960",
    (10, 3): "2822037469238841750/15064746656776439",
    (10, 4): "-23523744880286194122061074624512868000/152723005449262599342117017051789699",
    (10, 5): "10685036369693854448650967542704000000/575558095977344459903303055137999707",
    (10, 6):
    "-6259648732772142303029374363607629515525848829303541906422993"
    "/876479353814142962817551241844706205620792843316435566420120",
    (10, 7): "17380896627486168667542032602031250/13279937889697320236613879977356033",
}
B = {
    1: "96762636172307789/2051985304794103980",
    4: "312188947591288252500000/1212357694274963646019729",
    5: "13550580884964304000000000000/51686919683339547115937980629",
    6:
    "72367769693133178898676076432831566019684378142853445230956642801"
    "/475600216991873963561768100160364792981629064220601844848928537580",
    7: "1619421054120605468750/3278200730370057108183",
    8: "-66898316144057728000/227310933007074849597",
    9: "181081444637946577/2226845467039736466",
}
ERROR = {
    1: "522643094875451/205198530479410398",
    4: "-550343178903849903000000/56980811630923291362927263",
    5: "197654115880170560000000000/4698810880303595192357998239",
    6:
    "-3171408959554499061315206389277085667739969057641653677018211151"
    "/47560021699187396356176810016036479298162906422060184484892853758",
    7: "40831491787144609375000/154075434327392684084601",
    8: "-66898316144057728000/227310933007074849597",
    9: "181081444637946577/2226845467039736466",
    10: "-2152106665253777/106040260335225546",
}


def fraction(text):
    top, _, bottom = text.partition("/")
    return mp.mpf(int(top)) / int(bottom or 1)


a = [[mp.mpf(0)] * STAGES for _ in range(STAGES)]
for (i, j), text in A.items():
    a[i - 1][j - 1] = fraction(text)
b = [fraction(B.get(i + 1, "0")) for i in range(STAGES)]
b_err = [fraction(ERROR.get(i + 1, "0")) for i in range(STAGES)]
a[-1] = b


@cache
def order(tree):
    return 1 + sum(map(order, tree))


@cache
def density(tree):
    product = order(tree)
    for child in tree:
        product *= density(child)
    return product


@cache
def symmetry(tree):
    product = 1
    for child, count in Counter(tree).items():
        product *= factorial(count) * symmetry(child) ** count
    return product


@cache
def trees(nodes):
    """All rooted trees of so many nodes, as sorted tuples of their subtrees."""

    def forests(nodes, largest):
        if nodes == 0:
            yield ()
        for tree in smaller[:largest]:
            if order(tree) <= nodes:
                for rest in forests(nodes - order(tree), smaller.index(tree) + 1):
                    yield rest + (tree,)

    smaller = [tree for size in range(1, nodes) for tree in trees(size)]
    return list(forests(nodes - 1, len(smaller)))


@cache
def weights(tree):
    """The elementary weights of all stages."""
    product = [mp.mpf(1)] * STAGES
    for child in tree:
        inner = weights(child)
        product = [
            x * mp.fsum(a[i][j] * inner[j] for j in range(i)) for i, x in enumerate(product)
        ]
    return product


def residual(row, tree, right):
    return abs(mp.fsum(x * y for x, y in zip(row, weights(tree))) - right)


def right_side(tree, m):
    """What the condition of the tree asks of p_m: the coefficient of theta^m in
    (theta^r - its cubic through both ends) / (theta^2 (1 - theta)^2 density)."""
    r = order(tree)
    if r < 4:
        return mp.mpf(0)
    numerator = [mp.mpf(0)] * (r - 1)
    numerator[r - 2] += 1
    numerator[0] -= 3 - r
    numerator[1] -= r - 2
    for _ in range(2):
        total = mp.mpf(0)
        for k, x in enumerate(numerator):
            total += x
            numerator[k] = total
    return numerator[m] / density(tree) if m <= r - 4 else mp.mpf(0)


def least_squares(matrix, right):
    """The least solution of the least squares problem, and the null space of the matrix in columns."""
    columns = matrix.cols
    # Zero rows make all right singular vectors appear.
    rows = max(matrix.rows, columns)
    full = mp.zeros(rows, columns)
    side = mp.zeros(rows, 1)
    for i in range(matrix.rows):
        side[i] = right[i]
        for j in range(columns):
            full[i, j] = matrix[i, j]
    u, s, v = mp.svd_r(full)
    solution = mp.zeros(columns, 1)
    null = []
    for k in range(columns):
        direction = v[k, :].T
        if s[k] > ZERO:
            solution += direction * (mp.fsum(u[i, k] * side[i] for i in range(rows)) / s[k])
        else:
            null.append(direction)
    basis = mp.zeros(columns, len(null))
    for k, direction in enumerate(null):
        for i in range(columns):
            basis[i, k] = direction[i]
    return solution, basis


def system(of_trees, stages, m, scaled):
    matrix = mp.zeros(len(of_trees), len(stages))
    right = mp.zeros(len(of_trees), 1)
    for k, tree in enumerate(of_trees):
        scale = mp.mpf(1) / symmetry(tree) if scaled else 1
        right[k] = right_side(tree, m) * scale
        for n, i in enumerate(stages):
            matrix[k, n] = weights(tree)[i] * scale
    return matrix, right


def up_to(largest):
    return [tree for size in range(1, largest + 1) for tree in trees(size)]


def main():
    for tree in up_to(7):
        assert residual(b, tree, mp.mpf(1) / density(tree)) < 1e-50
    for tree in up_to(6):
        assert residual(b_err, tree, 0) < 1e-50

    every = list(range(STAGES))
    matrix, right = system(up_to(6), every, 0, False)
    solution, _ = least_squares(matrix, right)
    assert mp.norm(matrix * solution - right) > 1e-6, "order 6 can be met"

    stages = [0, *range(3, STAGES)]
    for m in range(3):
        matrix, right = system(up_to(5), stages, m, False)
        solution, null = least_squares(matrix, right)
        assert mp.norm(matrix * solution - right) < 1e-40, "order 5 cannot be met"
        next_matrix, next_right = system(trees(6), stages, m, True)
        along, _ = least_squares(next_matrix * null, next_right - next_matrix * solution)
        solution += null * along
        row = [mp.mpf(0)] * STAGES
        for n, i in enumerate(stages):
            row[i] = solution[n]
        print([float(x) if abs(x) > 1e-40 else 0.0 for x in row])


main()
