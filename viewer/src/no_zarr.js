/**
 * @file Stands in for the compressors of Zarr volumes, which NiiVue can read and no study sends: 1.3 MB less to load.
 */

throw new Error("This page reads NIfTI volumes only.");
