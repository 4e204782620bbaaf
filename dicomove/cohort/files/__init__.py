"""Reads the files of a cohort, with every identifier exactly as written.

::

    reading          `read_cohort`: chooses the reader, finds the header, names the columns
    text_files       the rows of a text file: its encoding, its delimiter, and the lines above its header
    spreadsheets     the sheets of .xlsx, .xlsb, .xls and .ods
    parquet_files    the rows of a Parquet file, or of a folder of them
    stored_cells     the rows as they are stored, and the text of each cell
    header_rows      the header of a file, and the keyword of each of its cells
"""
