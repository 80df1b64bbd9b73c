"""What adversaries make of what they saw: who wrote which entry, and who writes now.

**Who wrote it** (:func:`simnet.attacks.judge.judge`). Spies pool their logs
(:mod:`~simnet.attacks.sightings`, :mod:`~simnet.attacks.graph`) and name one honest host for each
entry. Two estimators, :mod:`~simnet.attacks.first_spy` and :mod:`~simnet.attacks.pooled`, and what
counts is the better of the two. How well authors were named is the business of
:mod:`~simnet.attacks.success`.

**Who writes now** (:func:`simnet.attacks.observer.observer_auc`): the global observer, who sees
packets from outside.

To add an attack, write a module, and let the judge name it.
"""
