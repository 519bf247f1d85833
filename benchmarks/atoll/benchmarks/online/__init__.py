"""Learning from streams whose concept drifts, one sample at a time: predict first, then see the label, then learn.

====================  =====================================================================================
``drift``             the study: one learner over one stream, scored as it goes
``streams``           the streams by name: river's generators with concepts that change, and its real sets
``concepts``          when one concept gives way to the next
``learner``           the extension point: what learns, with its options
``prequential``       predict, then learn; labels may come late
``scores``            accuracy and kappas, over all and in windows
``trees``             river's Hoeffding trees as experts
``neural_router``     the network that says which expert is right
``data_experts``      DriftMoE's first form: trees divide the samples between them
``task_experts``      DriftMoE's second form: a tree for every class
``router_only``       the router's network alone, as a classifier
``arrivals``          a tree arrives when the concept drifts, and those before it are frozen
``single``            river's single learners, for comparison
``ensembles``         river's ensembles, for comparison
``timeline``          a picture of the concepts over time
====================  =====================================================================================

DriftMoE is Aspis et al. 2025 (arXiv 2507.18464); ``docs/benchmarks/drift.md`` sets its claims beside what is found.
"""
