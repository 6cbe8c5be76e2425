import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.sql.Date;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.Base64;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.avro.SchemaConverters;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

import static org.apache.spark.sql.avro.functions.to_avro;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.to_json;

/** One row by functions of Spark, on one thread: their names, the values they write, and the schema that somebody registered, in base64. */
public final class Spark {
  private static final int REGISTERED = 7;

  public static void main(String[] arguments) throws Exception {
    PrintStream found = System.out;
    System.setOut(System.err);
    StructType properties = new StructType()
        .add("whole", DataTypes.LongType)
        .add("decimal", DataTypes.createDecimalType(4, 2))
        .add("single", DataTypes.FloatType)
        .add("day", DataTypes.DateType)
        .add("moment", DataTypes.TimestampType)
        .add("local", DataTypes.TimestampNTZType)
        .add("bytes", DataTypes.BinaryType)
        .add("nothing", DataTypes.StringType);
    StructType type = new StructType()
        .add("type", DataTypes.StringType)
        .add("userId", DataTypes.StringType)
        .add("event", DataTypes.StringType)
        .add("timestamp", DataTypes.TimestampType)
        .add("properties", properties);
    Timestamp moment = Timestamp.from(Instant.parse("2026-03-04T04:06:07.890Z"));
    LocalDateTime local = LocalDateTime.parse("2026-03-04T05:06:07.890");
    Date day = Date.valueOf("2026-03-04");
    Row typed = RowFactory.create(42L, new BigDecimal("12.30"), 12.34f, day, moment, local, new byte[] {1, 2}, null);
    Row row = RowFactory.create("track", "42", "Serialized", moment, typed);
    Column whole = struct(col("*"));
    ByteBuffer prefix = ByteBuffer.allocate(5).put((byte) 0).putInt(REGISTERED);
    try (SparkSession spark = SparkSession.builder().master("local[1]").config("spark.ui.enabled", false).getOrCreate()) {
      Dataset<Row> rows = spark.createDataFrame(List.of(row), type);
      Schema schema = SchemaConverters.toAvroType(type, false, "Track", "example.tea");
      show(found, "Spark, to_json", rows.select(to_json(whole).cast("binary")), "");
      show(found, "Spark, to_avro", rows.select(to_avro(whole)), "");
      Column framed = concat(lit(prefix.array()), to_avro(whole, schema.toString()));
      show(found, "Spark, to_avro, framed by hand", rows.select(framed), schema.toString());
    }
  }

  private static void show(PrintStream found, String name, Dataset<Row> value, String schema) {
    found.println(String.join("\t", name, base64((byte[]) value.first().get(0)), "", base64(schema.getBytes(StandardCharsets.UTF_8))));
  }

  private static String base64(byte[] bytes) {
    return Base64.getEncoder().encodeToString(bytes);
  }
}
