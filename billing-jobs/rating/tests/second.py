"""A second implementation of rating version 1: shares no code with the crate, only the text of the price book.

Reads cases on stdin, one JSON object a line: {"book", "plan", "usage", "ledger"}. Writes for each the money of its bill.
Everything is exact: `decimal` with more digits than any case needs, and an error, not a rounding, past them.
"""

import decimal
import json
import sys
from decimal import Decimal

if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed: it has tomllib")

import tomllib

decimal.getcontext().prec = 200
decimal.getcontext().traps[decimal.Inexact] = True

EXPONENT = {"EUR": 2, "JPY": 0, "BHD": 3, "UYW": 4}
# What a meter reads, and how many of that are in one of its units.
METERS = {
    "conversions": ("conversions", 1),
    "cpu_seconds": ("cpu_micros", 10**6),
    "input_megabytes": ("input_bytes", 10**6),
    "output_megabytes": ("output_bytes", 10**6),
    "input_megapixels": ("input_pixels", 10**6),
    "output_megapixels": ("output_pixels", 10**6),
}


def cents(amount, places):
    """Half away from zero."""
    with decimal.localcontext() as context:
        context.traps[decimal.Inexact] = False
        return amount.quantize(Decimal(1).scaleb(-places), rounding=decimal.ROUND_HALF_UP)


def takes(rule, group):
    for dimension, condition in rule.get("filter", {}).items():
        label = group.get(dimension)
        if "only" in condition and label not in condition["only"]:
            return False
        if "except" in condition and label in condition["except"]:
            return False
    return True


def quantities(plan, usage):
    """Billable groups, with CPU time up to its cap."""
    for row in usage["groups"]:
        group = row["group"]
        if group["outcome"] != "done":
            continue
        used = {name: int(value) for name, value in row["quantities"].items()}
        for cap in plan.get("cpu_caps", []):
            if takes(cap, group):
                pixels = used["input_pixels"] + used["output_pixels"]
                allowed = pixels * int(cap["micros_per_megapixel"]) // 10**6
                used["cpu_micros"] = min(used["cpu_micros"], allowed)
        yield group, used


def tier_lines(charge, quantity, per_unit):
    """(number, quantity, unit price) of each tier that has a line, in display units."""
    tiers = charge["tiers"]
    ends = [Decimal(tier["up_to"]) * per_unit if "up_to" in tier else None for tier in tiers]
    if charge["model"] == "volume":
        for number, (tier, end) in enumerate(zip(tiers, ends), 1):
            if end is None or quantity <= end:
                return [(number, quantity, tier["unit_price"])]
    lines = []
    below = 0
    for number, (tier, end) in enumerate(zip(tiers, ends), 1):
        top = quantity if end is None else min(quantity, end)
        inside = max(0, top - below)
        if inside > 0 or number == 1:
            lines.append((number, inside, tier["unit_price"]))
        below = end
        if end is None:
            break
    return lines


def charge_lines(charge, groups, free):
    """(tier, quantity, unit price) of each line; takes what is free out of `free`."""
    if charge["model"] == "flat":
        return [(None, Decimal(1), charge["amount"])]
    name, per_unit = METERS[charge["meter"]]
    quantity = sum(used[name] for group, used in groups if takes(charge, group))
    if not charge.get("additive", False):
        given = min(quantity, free.get(charge["meter"], 0))
        free[charge["meter"]] = free.get(charge["meter"], 0) - given
        quantity -= given
    if charge["model"] == "package":
        size = int(Decimal(charge["size"]) * per_unit)
        return [(None, Decimal(-(-quantity // size)), charge["price"])]
    if charge["model"] == "per_unit":
        return [(None, Decimal(quantity) / per_unit, charge["unit_price"])]
    return [(n, Decimal(q) / per_unit, price) for n, q, price in tier_lines(charge, quantity, per_unit)]


def pay(bases, order, credit):
    """Credits pay what is positive, in the order of the taxes, but never more than is owed in all."""
    used = min(credit, sum(bases.values()))
    if used <= 0:
        return 0
    rest = used
    for name in order:
        part = min(rest, max(bases[name], 0))
        bases[name] -= part
        rest -= part
    return used


def bill(case):
    plan = tomllib.loads(case["book"])["plans"][case["plan"]]
    places = EXPONENT[plan["currency"]]
    groups = list(quantities(plan, case["usage"]))
    free = {a["meter"]: int(Decimal(a["quantity"]) * METERS[a["meter"]][1]) for a in plan.get("allowances", [])}
    rates = {tax["name"]: Decimal(tax["percent"]) for tax in plan.get("taxes", [])} or {None: None}
    first = next(iter(rates))
    bases = {name: Decimal(0) for name in rates}

    lines, residue = [], Decimal(0)
    for charge in plan.get("charges", []):
        for tier, quantity, price in charge_lines(charge, groups, free):
            exact = quantity * Decimal(price)
            exact -= exact * Decimal(charge.get("discount_percent", "0")) * Decimal("0.01")
            amount = cents(exact, places)
            residue += exact - amount
            bases[charge.get("tax", first)] += amount
            lines.append([charge["id"], tier, str(quantity), str(exact), str(amount)])

    true_up = max(Decimal(0), Decimal(plan.get("minimum", "0")) - sum(bases.values()))
    bases[first] += true_up
    for adjustment in case["ledger"]["adjustments"]:
        bases[adjustment.get("tax", first)] += Decimal(adjustment["amount"])

    uses = []
    month = case["usage"]["month"]
    live = [c for c in case["ledger"]["credits"] if c.get("expires", "9999-99") > month]
    for credit in sorted(live, key=lambda credit: credit.get("expires", "9999-99")):
        used = pay(bases, list(rates), Decimal(credit["remaining"]))
        if used > 0:
            uses.append([credit["key"], str(used)])

    total = sum(bases.values())
    taxes = []
    for name, percent in rates.items():
        if percent is not None:
            exact = bases[name] * percent * Decimal("0.01")
            amount = cents(exact, places)
            residue += exact - amount
            total += amount
            taxes.append([name, str(bases[name]), str(amount)])
    return {
        "lines": lines,
        "true_up": str(true_up),
        "credits": uses,
        "taxes": taxes,
        "total": str(total),
        "residue": str(residue),
    }


for line in sys.stdin:
    print(json.dumps(bill(json.loads(line))))
